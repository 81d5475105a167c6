"""Files that are either whole or not there, and what they hold."""

import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

from lab.errors import ConfigError

LOCK = ".lock"
REPOSITORY = Path(__file__).resolve().parent.parent


def cache_directory() -> Path:
    """Where corpora and compiled code are kept: ``$LAB_CACHE``, else ``.cache`` in the repository."""
    return Path(os.environ.get("LAB_CACHE") or REPOSITORY / ".cache")


def write_text(path: Path, text: str) -> None:
    """Write ``text`` so that a reader, or a crash at any moment, sees the old file or the new one whole."""
    temporary = path.with_name(f".{path.name}.partial")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync(path.parent)


def write_json(path: Path, content: Any) -> None:
    """:func:`write_text` of ``content`` as indented JSON; raises ValueError for NaN and infinity."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The content of a JSON file, None where there is no such file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def digest(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Have the content of a file, or the names in a folder, reach the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock_folder(directory: Path, kind: str) -> BinaryIO:
    """The locked lock file of ``directory``; closing it, or the end of the process, unlocks it.

    Raises :class:`ConfigError` where another process is at work in it; ``kind`` says what the folder is of.
    """
    file = open(directory / LOCK, "ab+")  # noqa: SIM115 (held while the work lasts)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().decode(errors="replace").strip() or "unknown"
        file.close()
        raise ConfigError(
            f"The {kind} folder {directory} is in use by process {holder}: wait for it or choose another name."
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()).encode())
    file.flush()
    return file
