"""Folders that are built once: made under a temporary name, renamed when complete, shared by processes."""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lab.data.sources.fetch import Progress
from lab.errors import ConfigError
from lab.files import digest, sync

MANIFEST = "manifest.json"


def key_of(identity: object) -> str:
    """Sixteen hexadecimal digits that name whatever ``identity`` (JSON-able) describes."""
    canonical = json.dumps(identity, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return sha256(canonical.encode()).hexdigest()[:16]


def build_once(
    target: Path, cache: Path, build: Callable[[Path], dict[str, Any]], progress: Progress
) -> dict[str, Any]:
    """The manifest of folder ``target`` below ``cache``; ``build`` fills it unless a complete one is there.

    ``build(folder)`` writes files and returns their manifest, to which the sizes and digests of the files are
    added. A second process that wants the same folder waits for the first. Raises :class:`ConfigError` where
    the cache cannot be written; nothing half-written is left.
    """
    with _writable(cache):
        if (manifest := read_manifest(target)) is not None:
            return manifest
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(target.parent / f".{target.name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress(f"waiting for another process that is building {target}")
            lock.acquire()
        try:
            if (manifest := read_manifest(target)) is not None:
                return manifest
            partial = target.parent / f".partial-{target.name}"
            shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed; the lock is ours
            partial.mkdir()
            try:
                manifest = build(partial)
                _seal(partial, manifest)
                shutil.rmtree(target, ignore_errors=True)  # damaged, or it would have been used
                os.replace(partial, target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
            return manifest
        finally:
            lock.release()


def read_manifest(target: Path) -> dict[str, Any] | None:
    """The manifest of a complete folder; None where it is absent or a file is missing or of another size."""
    try:
        manifest = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
        sizes = {name: (target / name).stat().st_size for name in manifest["files"]}
    except (OSError, ValueError, KeyError):
        return None
    return (
        manifest if all(sizes[name] == entry["bytes"] for name, entry in manifest["files"].items()) else None
    )


def write_json_lines(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    """One JSON object a line, UTF-8."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects that :func:`write_json_lines` wrote."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _seal(folder: Path, manifest: dict[str, Any]) -> None:
    """Add every file's size and digest to ``manifest``, write it, and push all of it to the disk."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    manifest["files"] = {path.name: {"bytes": path.stat().st_size, "sha256": digest(path)} for path in files}
    (folder / MANIFEST).write_text(
        json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )
    for path in [*files, folder / MANIFEST]:
        sync(path)


@contextmanager
def _writable(cache: Path) -> Iterator[None]:
    """Turn the system's refusal to write below ``cache`` into one sentence."""
    refusals = {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOTDIR,
        errno.EEXIST,
        errno.ENOSPC,
        errno.EDQUOT,
    }
    try:
        yield
    except OSError as error:
        if error.errno not in refusals:
            raise
        raise ConfigError(
            f"LAB_CACHE={cache} cannot be written ({os.strerror(error.errno or 0)}): "
            "it must be a folder with room in which files can be made."
        ) from error
