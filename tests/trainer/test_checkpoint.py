"""Checkpoints: complete or not there, and the newest whole one counts."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lab.trainer import checkpoint as module
from lab.trainer.checkpoint import Progress, load_checkpoint, newest_checkpoint, save_checkpoint
from lab.trainer.optimizer import Optimizer, build_optimizer
from tests.trainer.stand_in import MUON, TinyLoader, TinyModel


def moved(tied: bool = False) -> tuple[TinyModel, Optimizer, TinyLoader]:
    model, loader = TinyModel(tied), TinyLoader()
    optimizer = build_optimizer(model, MUON)
    for _ in range(2):
        batch = next(loader)
        model.losses(batch.tokens, batch.targets, batch.documents, batch.positions).total().backward()
        optimizer.step(1.0)
        optimizer.zero_grad()
    model.router.selection_bias += 0.5
    return model, optimizer, loader


def save(run: Path, step: int, tied: bool = False, keep: int = 3) -> Path:
    return save_checkpoint(run / "checkpoints", Progress(step, step * 48, 1e6, 2.5, 3.0), *moved(tied), keep)


@pytest.mark.parametrize("tied", [False, True])
def test_everything_comes_back(tmp_path: Path, tied: bool) -> None:
    model, optimizer, loader = moved(tied)
    torch.manual_seed(7)
    torch.rand(3)
    saved = save_checkpoint(tmp_path, Progress(2, 96, 1e6, 2.5, 3.0), model, optimizer, loader, keep=1)
    expected = torch.rand(5)
    torch.manual_seed(0)
    other = TinyModel(tied)
    other_optimizer, other_loader = build_optimizer(other, MUON), TinyLoader()
    progress = load_checkpoint(saved, other, other_optimizer, other_loader)
    assert progress == Progress(2, 96, 1e6, 2.5, 3.0)
    assert torch.equal(torch.rand(5), expected)
    assert other_loader.index == 2
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    for name, value in optimizer.state_tensors().items():
        assert torch.equal(other_optimizer.state_tensors()[name], value), name


def test_tied_weights_are_written_under_each_name_and_stay_tied(tmp_path: Path) -> None:
    saved = save(tmp_path, 2, tied=True)
    weights = load_file(saved / "model.safetensors")
    assert torch.equal(weights["head.weight"], weights["embedding.weight"])
    model = TinyModel(tied=True)
    model.load_state_dict(weights)
    assert model.head.weight is model.embedding.weight
    assert not any(name.startswith("head") for name in load_file(saved / "optimizer.safetensors"))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip_one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-7] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("model.safetensors", truncate),
        ("model.safetensors", flip_one_bit),
        ("optimizer.safetensors", flip_one_bit),
        ("optimizer.safetensors", Path.unlink),
        ("state.json", truncate),
        ("state.json", Path.unlink),
    ],
)
def test_a_damaged_newest_checkpoint_is_passed_over_aloud(tmp_path: Path, name: str, damage) -> None:
    older, newest = save(tmp_path, 5), save(tmp_path, 10)
    said: list[str] = []
    assert newest_checkpoint(tmp_path, said.append) == newest
    assert not said
    damage(newest / name)
    assert newest_checkpoint(tmp_path, said.append) == older
    assert len(said) == 1
    assert str(newest) in said[0]
    assert name in said[0]


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        save(tmp_path, step, keep=2)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "step-00000003",
        "step-00000004",
    ]


def test_a_failure_while_writing_leaves_the_older_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = save(tmp_path, 1)

    def half(tensors, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(module, "save_file", half)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path, 2)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [older.name]


def test_a_file_that_does_not_read_back_is_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = module.save_file

    def lying_disk(tensors, path: Path) -> None:
        write({name: tensor + 1 for name, tensor in tensors.items()}, path)

    monkeypatch.setattr(module, "save_file", lying_disk)
    with pytest.raises(OSError, match="does not read back"):
        save(tmp_path, 1)
    assert newest_checkpoint(tmp_path) is None


def test_leftovers_of_a_killed_process_are_swept_away(tmp_path: Path) -> None:
    leftover = tmp_path / "checkpoints" / ".step-00000003"
    leftover.mkdir(parents=True)
    (leftover / "model.safetensors").write_bytes(b"half")
    assert newest_checkpoint(tmp_path) is None
    save(tmp_path, 4)
    assert not leftover.exists()


def test_whoever_may_read_the_folder_may_read_the_weights(tmp_path: Path) -> None:
    saved = save(tmp_path, 2)
    modes = {path.stat().st_mode & 0o777 for path in saved.iterdir()}
    assert modes == {saved.stat().st_mode & 0o666}


def test_the_state_is_readable_json(tmp_path: Path) -> None:
    state = json.loads((save(tmp_path, 2) / "state.json").read_text())
    assert state["progress"] == {"step": 2, "tokens": 96, "flops": 1e6, "seconds": 2.5, "loss": 3.0}
    assert state["loader"] == {"index": 2}
