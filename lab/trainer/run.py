"""Run folders: a run stands alone in a folder that one process at a time may write."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import torch
import yaml

from lab.errors import ConfigError
from lab.files import LOCK, lock_folder, read_json, write_json, write_text
from lab.trainer.config import FREE_SETTINGS, LATER_SETTINGS
from lab.trainer.environment import describe_environment
from lab.trainer.metrics import MetricsFile


class RunFolder:
    """One run's folder, locked for writing; open it with :meth:`open` and leave it with ``with`` or
    :meth:`close`.

    ``config.yaml``, ``environment.json``, ``status.json``, ``metrics.jsonl`` and ``checkpoints/`` lie in it.
    """

    def __init__(self, directory: Path, lock: BinaryIO) -> None:
        self.directory = directory
        self.metrics = MetricsFile(directory / "metrics.jsonl")
        self._lock = lock

    @classmethod
    def open(
        cls, directory: Path, config: Mapping[str, Any], device: torch.device, fresh: bool = False
    ) -> "RunFolder":
        """Make the folder, or go on with it where it exists; ``fresh`` empties it first.

        ``config`` is the resolved configuration as plain data. Raises :class:`ConfigError` where the folder
        cannot be written, another process is at work in it, or it holds a run of other settings.
        """
        with _writable(directory):
            directory.mkdir(parents=True, exist_ok=True)
            lock = lock_folder(directory, "run")
        try:
            with _writable(directory):
                if fresh:
                    _empty(directory)
                _check_same_run(directory, config)
                text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
                write_text(directory / "config.yaml", text)
                _record_environment(directory / "environment.json", describe_environment(device))
        except BaseException:
            lock.close()
            raise
        return cls(directory, lock)

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints lie; made by the first of them."""
        return self.directory / "checkpoints"

    def status(self) -> dict[str, Any]:
        """What ``status.json`` says, empty before the first step."""
        return read_json(self.directory / "status.json") or {}

    def write_status(self, state: str, step: int, steps: int, error: str | None = None) -> None:
        """Write ``status.json``; an interrupted run, which the same command continues, stays ``running``."""
        assert state in ("running", "done", "failed")
        updated = datetime.now(UTC).isoformat(timespec="seconds")
        status = {"state": state, "step": step, "steps": steps, "error": error, "updated": updated}
        self.write_json("status.json", status)

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file of this run, whole or not at all."""
        write_json(self.directory / name, content)

    def close(self) -> None:
        """Let other processes in."""
        self.metrics.close()
        self._lock.close()

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def _writable(directory: Path) -> Iterator[None]:
    """Turn the operating system's refusals into one sentence."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"The run folder {directory} cannot be written ({error.strerror}): "
            "set output to a directory where this user may write and the disk has room."
        ) from error


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        if path.name == LOCK:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _record_environment(path: Path, now: dict[str, Any]) -> None:
    """Write where this part of the run runs; earlier parts that ran elsewhere are kept below ``earlier``."""
    before = read_json(path)
    if before is not None:
        earlier = before.pop("earlier", [])
        if before != now:
            changed = ", ".join(key for key in now if before.get(key) != now[key])
            print(
                f"This run was begun elsewhere ({changed} differ): from here on its numbers may differ too."
            )
            earlier.append(before)
        now |= {"earlier": earlier} if earlier else {}
    write_json(path, now)


def _check_same_run(directory: Path, config: Mapping[str, Any]) -> None:
    """Refuse to go on with a run under settings that would have led to other weights."""
    path = directory / "config.yaml"
    if not path.exists():
        return
    before, now = (
        LATER_SETTINGS | _flat(tree) for tree in (yaml.safe_load(path.read_text(encoding="utf-8")), config)
    )
    for key in [*now, *(key for key in before if key not in now)]:
        free = any(key == name or key.startswith(f"{name}.") for name in FREE_SETTINGS)
        if not free and before.get(key) != now.get(key):
            raise ConfigError(
                f"{key}={now.get(key)} is not what the run in {directory} was started with "
                f"({key}={before.get(key)}): choose another name or set fresh=true."
            )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
