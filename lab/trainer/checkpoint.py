"""Checkpoints: a step's whole state in a folder that is either complete or not there.

A checkpoint is written under a temporary name, flushed, read back and only then renamed; weights and
optimiser state are safetensors, everything else JSON, so that nothing is ever unpickled.
"""

import base64
import errno
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lab.files import digest, read_json, sync, write_json
from lab.trainer.optimizer import Optimizer

WEIGHTS, OPTIMIZER, STATE = "model.safetensors", "optimizer.safetensors", "state.json"
NAME = re.compile(r"step-(\d{8})")
TEMPORARY_PREFIX = "."


class Resumable(Protocol):
    """A loader that can say where it stands and go back there."""

    def state(self) -> dict[str, Any]:
        """Where it stands, as plain data."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where :meth:`state` was taken."""


@dataclass
class Progress:
    """How far a run has come. ``seconds`` count steps alone, over all parts of an interrupted run."""

    step: int = 0
    tokens: int = 0
    flops: float = 0.0
    seconds: float = 0.0
    loss: float | None = None


def save_checkpoint(
    directory: Path, progress: Progress, model: nn.Module, optimizer: Optimizer, loader: Resumable, keep: int
) -> Path:
    """Write the checkpoint of ``progress.step`` into ``directory`` and remove all but the newest ``keep``.

    A tied weight is written under each of its names, so that any reader can load the file. Raises OSError
    where it cannot be written or does not read back as written; the older checkpoints are then untouched.
    """
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / f"step-{progress.step:08d}"
    temporary = directory / f"{TEMPORARY_PREFIX}{target.name}"
    for leftover in directory.glob(f"{TEMPORARY_PREFIX}*"):
        shutil.rmtree(leftover)
    temporary.mkdir()
    try:
        _write_tensors(temporary / WEIGHTS, model.state_dict())
        _write_tensors(temporary / OPTIMIZER, optimizer.state_tensors())
        state = {
            "progress": asdict(progress),
            "loader": loader.state(),
            "random": _random_state(_device(model)),
            "files": {name: digest(temporary / name) for name in (WEIGHTS, OPTIMIZER)},
        }
        write_json(temporary / STATE, state)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync(temporary)
    if target.exists():
        shutil.rmtree(target)
    os.replace(temporary, target)
    sync(directory)
    for old in _checkpoints(directory)[keep:]:
        doomed = old.rename(old.with_name(f"{TEMPORARY_PREFIX}{old.name}"))
        shutil.rmtree(doomed)
    return target


def newest_checkpoint(run: Path, report: Callable[[str], None] = print) -> Path | None:
    """The newest checkpoint of a run folder that is whole, None if there is none.

    ``report`` is told of every damaged one that is passed over.
    """
    for checkpoint in _checkpoints(run / "checkpoints"):
        damage = damage_of(checkpoint)
        if damage is None:
            return checkpoint
        report(f"The checkpoint {checkpoint} is damaged ({damage}): going back to the one before it.")
    return None


def load_checkpoint(checkpoint: Path, model: nn.Module, optimizer: Optimizer, loader: Resumable) -> Progress:
    """Put model, optimiser, loader and random numbers back where they were; the progress of that step."""
    state = read_json(checkpoint / STATE)
    model.load_state_dict(load_file(checkpoint / WEIGHTS))
    optimizer.load_state_tensors(load_file(checkpoint / OPTIMIZER))
    loader.restore(state["loader"])
    _restore_random_state(state["random"], _device(model))
    return Progress(**state["progress"])


def damage_of(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint, None if its files are there and have the content that was written."""
    try:
        state = read_json(checkpoint / STATE)
        if state is None:
            return f"{STATE} is missing"
        for name, expected in state["files"].items():
            if digest(checkpoint / name) != expected:
                return f"{name} has changed"
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{STATE} cannot be read: {error}"
    return None


def _checkpoints(directory: Path) -> list[Path]:
    """All checkpoints, newest first."""
    found = [path for path in directory.glob("step-*") if NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: path.name, reverse=True)


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write, flush and read back; raises OSError where the file is not what was to be written."""
    seen: set[int] = set()
    separate = {}
    for name, tensor in tensors.items():
        shared = tensor.data_ptr() in seen
        seen.add(tensor.data_ptr())
        separate[name] = tensor.detach().clone() if shared else tensor.detach().contiguous()
    save_file(separate, path)
    path.chmod(
        path.parent.stat().st_mode & 0o666
    )  # safetensors shuts out everyone else; let the folder decide
    sync(path)
    written = load_file(path)
    if not all(torch.equal(written[name], tensor.cpu()) for name, tensor in separate.items()):
        raise OSError(errno.EIO, "it does not read back as it was written", str(path))


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _random_state(device: torch.device) -> dict[str, str]:
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return {name: base64.b64encode(state.numpy().tobytes()).decode() for name, state in states.items()}


def _restore_random_state(states: Mapping[str, str], device: torch.device) -> None:
    for name, text in states.items():
        state = torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)
        if name == "cpu":
            torch.set_rng_state(state)
        elif device.type == "cuda":
            torch.cuda.set_rng_state(state, device)
