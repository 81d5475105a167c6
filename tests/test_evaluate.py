"""The command experiments.evaluate: our folders and any of transformers, resumed, compared, exported, refused."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer as Backend

from experiments.evaluate import evaluate_checkpoint
from lab.config import compose
from lab.data.config import FolderData
from lab.data.tokenizer import Tokenizer
from lab.errors import ConfigError
from lab.evaluate import Place, find, held_out_text, open_subject, open_untrained
from lab.evaluation.scoring import continuation_nats
from lab.evaluation.transformers_model import open_transformers
from lab.overrides import compose_container
from tests.evaluation.held_out import written
from tests.model.run_folders import run_folder

ROOT = Path(__file__).resolve().parent.parent
ASKED = [("세금을 내는 사람은", " 기기를 켠다."), ("The list of", " rooms"), ("나" * 20, " 값이 크다")]
QUICK = [
    "evaluation.num_items=4",
    "evaluation.max_bytes=300",
    "evaluation.sequence_length=16",
    "evaluation.long_context=2",
    "evaluation.tasks=[particle_role,pairing_ko_en]",
    "tracker=disabled",
    "device=cpu",
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A Llama and a GPT-2 as transformers writes them, with one tokenizer."""
    from transformers import (
        GPT2Config,
        GPT2LMHeadModel,
        LlamaConfig,
        LlamaForCausalLM,
        PreTrainedTokenizerFast,
    )

    root = tmp_path_factory.mktemp("released")
    own = Tokenizer.train([one.text for one in written().documents], vocab_size=320)
    own.save(root)
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    fast = PreTrainedTokenizerFast(
        tokenizer_object=Backend.from_file(str(root / "tokenizer.json")),
        bos_token="<|begin|>",
        eos_token="<|end|>",
        pad_token="<|pad|>",
        clean_up_tokenization_spaces=False,
    )
    llama = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=320,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
            initializer_range=0.3,
            **ids,
        )
    )
    gpt = GPT2LMHeadModel(GPT2Config(vocab_size=320, n_embd=32, n_layer=2, n_head=4, n_positions=128, **ids))
    for name, model in (("llama", llama), ("gpt", gpt)):
        model.save_pretrained(root / name)
        fast.save_pretrained(root / name)
    return {"llama": root / "llama", "gpt": root / "gpt"}


@pytest.fixture
def text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Written text stands for every corpus."""
    monkeypatch.setattr("lab.evaluate.held_out_text", lambda run, data, progress=print: written())


def evaluate(*words: str) -> None:
    evaluate_checkpoint(compose_container(words, "evaluate"), list(words))


def test_our_llama_and_the_one_of_transformers_give_the_same_likelihoods(folders: dict[str, Path]) -> None:
    ours = open_subject(find(str(folders["llama"])), "cpu")
    theirs, tokenizer, positions = open_transformers(folders["llama"])
    assert type(ours.model).__module__.startswith("lab.model")
    assert positions == ours.max_positions == 256
    expected, _ = continuation_nats(theirs, tokenizer, ASKED, 256, 64)
    found, _ = continuation_nats(ours.model, ours.tokenizer, ASKED, 256, 64)
    assert found == pytest.approx(expected, rel=1e-4)
    assert expected.min() > 1


@pytest.mark.usefixtures("text")
@pytest.mark.parametrize("name", ["llama", "gpt"])
def test_a_folder_is_measured_and_a_second_call_reads_it(
    name: str,
    folders: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = [f"checkpoint={folders[name]}", f"output={tmp_path}", *QUICK, "format=json"]
    evaluate(*words)
    results = json.loads(capsys.readouterr().out)
    assert set(results["tasks"]) == {"particle_role", "pairing_ko_en"}
    assert set(results["bits_per_byte"]) == {"ko", "en", "maths"}
    (folder,) = tmp_path.iterdir()
    assert json.loads((folder / "results.json").read_text(encoding="utf-8")) == results

    monkeypatch.setattr("lab.evaluation.suite.score_task", None)  # calling it would fail
    monkeypatch.setattr("lab.evaluation.suite.bits_by_position", None)
    evaluate(*words)
    assert json.loads(capsys.readouterr().out) == results


@pytest.mark.usefixtures("text")
def test_a_baseline_is_asked_the_same(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"checkpoint={folders['llama']}", f"output={tmp_path}", *QUICK]
    evaluate(*words, "baseline=untrained", "format=markdown")
    shown = capsys.readouterr().out
    assert "| over the baseline |" in shown
    assert "| particle_role |" in shown
    evaluate(*words, "baseline=untrained", "control=2", "format=markdown")
    shown = capsys.readouterr().out
    assert "| control |" in shown
    assert "of 2 more untrained models" in shown
    (folder,) = tmp_path.iterdir()
    control = json.loads((folder / "results.json").read_text(encoding="utf-8"))["control"]
    margins = [one["particle_role"]["margin"]["mean"] for one in control]
    assert len(set(margins)) == 2
    assert 0 not in margins
    evaluate(*words, f"baseline={folders['gpt']}", "format=json")
    compared = json.loads(capsys.readouterr().out)
    assert set(compared["comparison"]) == {"particle_role", "pairing_ko_en"}
    assert compared["baseline"]["digest"] == find(str(folders["gpt"])).digest


def test_a_run_folder_is_asked_from_its_own_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    place = find(str(run_folder(tmp_path / "run", "llama")))
    assert place.run is not None
    trained, untrained = open_subject(place, "cpu"), open_untrained(place, "cpu")
    assert trained.trained_length == place.run.trainer.sequence_length
    assert trained.digest != untrained.digest
    with pytest.raises(
        ConfigError, match=r"^data=folder cannot be used: the run was trained beside data=packages"
    ):
        held_out_text(place.run, FolderData("folder", path="somewhere"))


def test_other_weights_have_another_digest(folders: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"1")
    first = find(str(tmp_path)).digest
    assert find(str(tmp_path)).digest == first
    (tmp_path / "model.safetensors").write_bytes(b"2")
    assert find(str(tmp_path)).digest != first


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "checkpoint is missing: it must be a folder with a trained model."),
        (
            ["checkpoint=nowhere"],
            "checkpoint=nowhere cannot be used: it must be a folder with a trained model.",
        ),
        (["checkpoint=lab", "baseline=nowhere"], "baseline=nowhere cannot be used: it must be a folder"),
        (
            ["checkpoint=lab"],
            "checkpoint=lab is not a checkpoint: it must be a folder with config.yaml, config.json",
        ),
        (
            ["checkpoint=lab", "control=2"],
            "control=2 cannot be used: it must be 0, or with baseline=untrained a number of models",
        ),
        (["checkpoint=lab", "baseline=untrained", "control=-1"], "control=-1 cannot be used"),
        (["checkpoint=lab", "format=xml"], "format=xml is unknown: it can be table, markdown, json"),
        (["export=lab"], "export=lab cannot be used: it must be a folder that does not exist yet"),
        (["catalogue=all"], "catalogue=all is unknown: it can be show or pin"),
        (
            ["checkpoint=lab", "evaluation.tasks=[sums]"],
            "evaluation.tasks=sums is unknown: it can be object_particle",
        ),
        (
            ["checkpoint=lab", "evaluation.windw=3"],
            "evaluation.windw is not a setting: did you mean evaluation.window?",
        ),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(ConfigError) as raised:
        evaluate(*words)
    assert said.rstrip(".") in str(raised.value)


def test_a_folder_without_transformers_or_weights_is_one_sentence(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, "0" * 16, None)
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(ConfigError, match=r"^checkpoint=.* cannot be read by transformers: "):
        open_subject(place, "cpu")
    with pytest.raises(ConfigError, match=r"^baseline=untrained cannot be used with checkpoint="):
        open_untrained(place, "cpu")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"and transformers, which may know it, is not installed: run "):
        open_subject(find(str(folders["gpt"])), "cpu")


def test_the_catalogue_and_typos_wait_for_no_heavy_library() -> None:
    code = "import sys, experiments.evaluate; sys.exit(bool({'torch', 'tokenizers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_suite_file_says_what_the_class_says() -> None:
    from lab.config import typed
    from lab.evaluation.config import SuiteConfig

    container = compose_container([], "evaluate")
    assert typed(container.evaluation, SuiteConfig) == SuiteConfig(max_bytes=200_000)
    assert compose(["evaluation=default"]).evaluation.num_items == 200
