"""A folder that appears complete or not at all."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.errors import ConfigError
from lab.files import sync

WRITTEN = re.compile(r".*\.(json|safetensors|yaml|jinja|txt|model)")
"""Names that a checkpoint's files have."""


@contextmanager
def new_folder(target: Path, overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder beside ``target`` that takes its name when the block ends, and is gone where it fails.

    What stood at ``target`` stays until then. Raises :class:`ConfigError` where ``target`` is a file, or holds
    anything and ``overwrite`` is false, or holds what is no checkpoint: that is never overwritten.
    """
    target = target.resolve()
    _require_replaceable(target, overwrite)
    temporary, former = (target.with_name(f".{target.name}.{word}") for word in ("partial", "former"))
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        for path in temporary.iterdir():
            sync(path)
        sync(temporary)
        if target.exists():
            shutil.rmtree(former, ignore_errors=True)
            os.rename(target, former)
        os.rename(temporary, target)
    except BaseException:
        if former.exists() and not target.exists():
            os.rename(former, target)
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync(target.parent)
    shutil.rmtree(former, ignore_errors=True)


def _require_replaceable(target: Path, overwrite: bool) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise ConfigError(f"target={target} cannot be used: it is a file, not a folder.")
    names = sorted(path.name for path in target.iterdir())
    if names and not overwrite:
        raise ConfigError(f"target={target} is not empty: choose a new folder, or give overwrite=true.")
    foreign = [name for name in names if not WRITTEN.fullmatch(name) or (target / name).is_dir()]
    if foreign:
        raise ConfigError(
            f"target={target} cannot be overwritten: it holds {foreign[0]}, which is no checkpoint's."
        )


def require_room(folder: Path, size: int) -> None:
    """Raise :class:`ConfigError` where the disk has less than ``size`` bytes free."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise ConfigError(
            f"target={folder.parent} is too small a disk: {size:,} bytes are needed, {free:,} are free."
        )
