"""``lab.train``: a run from a notebook, seen as it goes, stopped, gone on with, and nothing left behind."""

import os
import random
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import lab
from lab import live
from lab.config import Config, compose
from lab.files import read_json
from lab.kernels.registry import preferred
from lab.live import LiveCurve
from lab.report.runs import read_run
from lab.trainer.callbacks import Callback, Training
from tests.sweep.tiny import TINY, write_texts
from tests.trainer.stand_in import TinyModel, train_tiny


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tiny configuration on texts of its own, its runs and corpora in a folder of their own."""
    base = tmp_path_factory.mktemp("train")
    (base / "texts").mkdir()
    write_texts(base / "texts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_CACHE", str(base / "cache"))
        yield compose([*TINY, f"data.path={base}/texts", f"output={base}/runs", "trainer.threads=1"])


def test_a_run_is_read_back_and_the_process_is_as_it_was(
    tiny: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(2)
    before = (
        torch.get_num_threads(),
        torch.get_rng_state(),
        random.getstate(),
        signal.getsignal(signal.SIGINT),
    )
    run = lab.train(tiny, steps=4)
    after = (
        torch.get_num_threads(),
        torch.get_rng_state(),
        random.getstate(),
        signal.getsignal(signal.SIGINT),
    )
    torch.set_num_threads(1)
    assert after[0] == before[0]
    assert torch.equal(after[1], before[1])
    assert after[2:] == before[2:]
    assert (run.state, run.status["steps"], run.config["trainer"]["steps"]) == ("done", 4, 4)
    assert run.results["bits_per_byte"]["ko"] > 0
    assert run.folder.parent == Path(tiny.output) / "notebook"
    assert "step 4/4" in capsys.readouterr().out, "plain lines where there is no notebook"
    assert tiny.trainer.steps == 24, "the configuration given is untouched"
    stamp = (run.folder / "results.json").stat().st_mtime_ns
    assert lab.train(tiny, steps=4).results == run.results
    assert (run.folder / "results.json").stat().st_mtime_ns == stamp, "a finished run is read back"


def test_activation_checkpointing_ends_with_the_same_weights(tiny: Config) -> None:
    """Three steps, with what the routers' balance makes of the loads."""
    experts = ["experts=4", "top_k=2", "expert_width=8", "shared_experts=1", "layers=2"]
    model = compose(
        [*TINY, "model=k_exaone", "data.path=texts", *(f"scale.{size}" for size in experts)]
    ).model
    weights = []
    for switch in (False, True):
        trainer = replace(tiny.trainer, activation_checkpointing=switch, steps=3)
        output = f"{tiny.output}/checkpointing-{switch}"
        run = lab.train(replace(tiny, model=model, trainer=trainer, output=output))
        assert run.config["trainer"]["activation_checkpointing"] is switch
        weights.append(lab.load(run.folder).state_dict())
    kept, made_again = weights
    assert any(name.endswith("selection_bias") and tensor.any() for name, tensor in kept.items())
    assert all(torch.equal(tensor, made_again[name]) for name, tensor in kept.items())


def test_a_run_takes_the_kernels_it_is_asked_for_and_says_so(
    tiny: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    run = lab.train(replace(tiny, kernels="naive"), steps=1)
    taken = read_json(run.folder / "kernels.json")
    assert taken["asked"] == "naive"
    assert set(taken["training_step"].values()) == {"naive"}
    assert "attention: naive" in capsys.readouterr().out
    assert preferred() == "auto"
    run = lab.train(replace(tiny, kernels="triton", device="cpu"), steps=1)
    assert "triton" not in read_json(run.folder / "kernels.json")["training_step"].values()


def test_an_interrupted_call_leaves_a_run_that_the_same_call_finishes(tiny: Config) -> None:
    steps = 3000
    folder = Path(tiny.output) / "notebook"
    known = set(folder.iterdir()) if folder.exists() else set()

    def interrupt() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            begun = [
                new
                for new in folder.glob("*/metrics.jsonl")
                if new.parent not in known and new.stat().st_size
            ]
            if begun:
                os.kill(os.getpid(), signal.SIGINT)
                return
            time.sleep(0.01)

    watcher = threading.Thread(target=interrupt)
    watcher.start()
    with pytest.raises(
        KeyboardInterrupt, match=r"Interrupted by SIGINT after step .* the same command goes on"
    ):
        lab.train(tiny, steps=steps)
    watcher.join()
    (stopped,) = set(folder.iterdir()) - known
    run = read_run(stopped)
    assert run.state == "running"
    assert (stopped / "checkpoints").is_dir()
    reached = run.status["step"]
    assert 0 < reached < steps

    class SoonOver(Callback):
        def on_start(self, training: Training) -> None:
            assert training.progress.step == reached, "it goes on from where it was"
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lab.face.in_notebook", lambda: True)
        patch.setattr("lab.face.LiveCurve", SoonOver)
        with pytest.raises(KeyboardInterrupt):
            lab.train(tiny, steps=steps)


def test_a_live_curve_is_one_output_renewed_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("IPython")
    shown: list[str] = []
    renewed: list[str] = []

    def display(content: Any, display_id: bool) -> Any:
        shown.append(content.data)
        return SimpleNamespace(update=lambda content: renewed.append(content.data))

    monkeypatch.setattr("IPython.display.display", display)
    model = TinyModel()
    model.config = SimpleNamespace(name="llama")
    train_tiny(tmp_path, LiveCurve(), model=model, steps=6)
    assert len(shown) == 1
    assert "<svg" not in shown[0], "no curve before the first step"
    assert "6 steps" in shown[0]
    assert 1 <= len(renewed) < 6, "the end, and at most once a second before it"
    assert "<svg" in renewed[-1]
    assert "step 6/6" in renewed[-1]
    monkeypatch.setattr(live, "SECONDS_BETWEEN_VIEWS", 0.0)
    monkeypatch.setattr(live, "MOST_POINTS", 20)
    renewed.clear()
    train_tiny(tmp_path / "longer", LiveCurve(), model=model, steps=120)
    assert len(shown) == 2
    assert len(renewed) == 121
    assert renewed[-1].count(",") < 200, "a long run's curve is thinned"
    assert max(map(len, renewed)) < 12_000


def test_the_curve_of_a_continued_run_begins_at_its_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("IPython")
    shown: list[str] = []

    class Stop(Callback):
        def on_step(self, training: Training) -> None:
            if training.progress.step == 3:
                os.kill(os.getpid(), signal.SIGINT)

    def display(content: Any, display_id: bool) -> Any:
        shown.append(content.data)
        return SimpleNamespace(update=lambda content: shown.append(content.data))

    monkeypatch.setattr("IPython.display.display", display)
    model = TinyModel()
    model.config = SimpleNamespace(name="llama")
    with pytest.raises(SystemExit):
        train_tiny(tmp_path, LiveCurve(), Stop(), model=model, steps=6)
    assert "Interrupted by SIGINT after step 3 of 6" in shown[-1]
    shown.clear()
    train_tiny(tmp_path, LiveCurve(), model=model, steps=6)
    assert "going on after step 3 of 6 steps" in shown[0]
    assert "<svg" in shown[0], "what was logged before is drawn at once"


def test_folders_of_the_repository_are_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lab import notebook

    (tmp_path / "repository/runs/there").mkdir(parents=True)
    (tmp_path / "here/runs").mkdir(parents=True)
    monkeypatch.setattr(notebook, "REPOSITORY", tmp_path / "repository")
    monkeypatch.chdir(tmp_path / "here")
    assert notebook.located("runs/there") == tmp_path / "repository/runs/there"
    assert notebook.located("runs") == Path("runs"), "what lies here comes first"
    assert notebook.located("nowhere") == Path("nowhere"), "and is what an error names"


def test_the_face_loads_no_ipython_of_its_own() -> None:
    import subprocess

    code = (
        "import sys, lab; c = lab.compose(['model=llama']); lab.size(c); "
        "sys.exit(bool({'IPython', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
