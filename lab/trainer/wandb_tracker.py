"""Weights & Biases as a tracker: online with a key, else files in the run folder for ``wandb sync``."""

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import wandb

from lab.errors import ConfigError
from lab.files import read_json
from lab.trainer.config import TrackerConfig
from lab.trainer.run import RunFolder
from lab.trainer.tracker import RunIdentity
from lab.trainer.wandb_key import has_key

DIRECTORIES = ("WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_ARTIFACT_DIR")
"""Variables that say where wandb puts files: the run folder, while the run lasts."""

PROGRESS = ("step", "tokens", "flops", "seconds")
LONGEST_TAG = 64  # characters


class WandbTracker:
    """One W&B run a run folder; its id lies in ``tracker.json``, so that a continued run stays one run."""

    def __init__(self, config: TrackerConfig, run: RunFolder, identity: RunIdentity) -> None:
        self._config = config
        self._folder = run
        self._identity = identity
        self._mode = choose_mode(config.mode)
        self._run: Any = None
        self._environment: dict[str, str | None] = {}
        self._reached: dict[str, float] = {}

    def start(self, settings: Mapping[str, Any]) -> None:
        """Begin the W&B run."""
        files = self._folder.directory / "wandb"
        files.mkdir(exist_ok=True)
        self._environment = {name: os.environ.get(name) for name in DIRECTORIES}
        os.environ.update({name: str(files) for name in DIRECTORIES})
        self._run = wandb.init(
            id=self._run_id(),
            resume="allow" if self._mode == "online" else None,  # offline wandb cannot resume and warns
            mode=self._mode,
            dir=str(self._folder.directory),
            project=self._config.project,
            group=self._config.group or self._identity.experiment,
            job_type=self._identity.job_type,
            name=self._identity.name,
            tags=self._tags(settings),
            config={**settings, **self._facts()},
            settings=wandb.Settings(
                console="off",
                silent=True,
                disable_git=True,  # remote addresses may carry tokens; the revision is in the settings
                x_disable_meta=True,  # arguments, user and host
                save_code=False,
                reinit="finish_previous",
            ),
        )
        self._run.define_metric("tokens", hidden=True)
        self._run.define_metric("*", step_metric="tokens")
        self._run.define_metric("train/loss", step_metric="tokens", summary="min")

    def log(self, metrics: Mapping[str, float]) -> None:
        """Log one step."""
        self._run.log(dict(metrics))
        self._reached |= {
            name: value for name, value in metrics.items() if name in PROGRESS or name.startswith("eval/")
        }

    def artifact(self, name: str, kind: str, path: Path, metadata: Mapping[str, Any]) -> None:
        """Log a file or folder as an artifact; its metadata says how far the run was and what it had reached."""
        artifact = wandb.Artifact(name, type=kind, metadata=self._reached | dict(metadata))
        if path.is_dir():
            artifact.add_dir(str(path))
        else:
            artifact.add_file(str(path))
        self._run.log_artifact(artifact, aliases=["latest"])

    def finish(self, exit_code: int) -> None:
        """End the W&B run; without this the next one in the process would silently be this one."""
        try:
            if self._run is not None:
                self._run.finish(exit_code=exit_code)
        finally:
            for name, value in self._environment.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value

    def _tags(self, settings: Mapping[str, Any]) -> list[str]:
        """The configured words, the contender and the variant: each once, at most as long as W&B takes."""
        contender = dict(settings.get("model") or {}).get("name")
        tags = [*self._config.tags, *([contender] if contender else []), self._identity.variant]
        return list(dict.fromkeys(tag[:LONGEST_TAG] for tag in tags))

    def _facts(self) -> dict[str, Any]:
        """What a W&B table groups and filters by beside the settings: the variant, and where the run runs."""
        environment = read_json(self._folder.directory / "environment.json") or {}
        return {
            "experiment": self._identity.experiment,
            "variant": self._identity.variant,
            "environment": environment,
        }

    def _run_id(self) -> str:
        path = self._folder.directory / "tracker.json"
        known = read_json(path)
        if known is None:
            known = {"wandb_run_id": uuid.uuid4().hex[:12], "name": self._identity.name}
            self._folder.write_json(path.name, known)
        return known["wandb_run_id"]


def choose_mode(mode: str) -> Literal["online", "offline"]:
    """``online`` or ``offline`` for a configured mode.

    Raises ConfigError where online finds no key, or one that is none by its form.
    """
    if mode == "auto":
        wanted = os.environ.get("WANDB_MODE", "online")
        return "online" if wanted == "online" and has_key() else "offline"
    if mode == "offline":
        return "offline"
    try:
        found, reason = has_key(), ""
    except wandb.errors.AuthenticationError as error:
        found, reason = False, f" ({str(error).rstrip('.')})"
    if not found:
        raise ConfigError(
            f"tracker.mode=online finds no W&B key{reason}: set WANDB_API_KEY, run `wandb login` or use "
            "tracker.mode=offline."
        )
    return "online"
