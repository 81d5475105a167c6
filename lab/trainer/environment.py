"""Where a run ran: the content of ``environment.json``. No variables, no arguments, hence no secrets."""

import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "numpy", "safetensors", "tokenizers", "hydra-core", "omegaconf", "wandb", "triton")
GIT_TIMEOUT_SECONDS = 10


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Revision of this code, versions, device and threads, as plain data."""
    return {
        "git": git_state(Path(__file__).resolve().parent),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "device": device_name(device),
        "threads": torch.get_num_threads(),
    }


def git_state(directory: Path) -> dict[str, Any]:
    """``revision`` and whether the work tree is ``dirty``; both None without a repository or without git."""
    revision = _git(directory, "rev-parse", "HEAD")
    changes = _git(directory, "status", "--porcelain") if revision else None
    return {"revision": revision, "dirty": None if changes is None else bool(changes)}


def device_name(device: torch.device) -> str:
    """The processor's name, as its maker calls it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _git(directory: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(directory), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=GIT_TIMEOUT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
