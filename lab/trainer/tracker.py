"""Trackers: a run told to an outside service as it happens. The run folder stays the record that counts."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lab.errors import ConfigError
from lab.trainer.config import TrackerConfig
from lab.trainer.run import RunFolder


@dataclass(frozen=True)
class RunIdentity:
    """What a run is called: ``<experiment>/<variant>/s<seed>``; ``job_type`` is train, eval, ..."""

    experiment: str
    variant: str
    seed: int
    job_type: str = "train"

    @property
    def name(self) -> str:
        """The name shown."""
        return f"{self.experiment}/{self.variant}/s{self.seed}"


class Tracker(Protocol):
    """What a tracker can do."""

    def start(self, settings: Mapping[str, Any]) -> None:
        """Begin, with the settings of the run as nested plain data."""

    def log(self, metrics: Mapping[str, float]) -> None:
        """Take the metrics of a step; ``tokens`` among them is the x-axis."""

    def artifact(self, name: str, kind: str, path: Path, metadata: Mapping[str, Any]) -> None:
        """Keep a file or a folder that the run made; ``kind`` is model, dataset or results."""

    def finish(self, exit_code: int) -> None:
        """End; an exit code other than 0 marks the run as failed."""


class NullTracker:
    """Tells nobody."""

    def start(self, settings: Mapping[str, Any]) -> None:
        """Nothing."""

    def log(self, metrics: Mapping[str, float]) -> None:
        """Nothing."""

    def artifact(self, name: str, kind: str, path: Path, metadata: Mapping[str, Any]) -> None:
        """Nothing."""

    def finish(self, exit_code: int) -> None:
        """Nothing."""


class ForgivingTracker:
    """A tracker whose failure never ends a run: the first is reported, from then on nothing is passed on."""

    def __init__(self, tracker: Tracker, report: Callable[[str], None] = print) -> None:
        self._tracker: Tracker = tracker
        self._report = report

    def start(self, settings: Mapping[str, Any]) -> None:
        """Begin."""
        self._attempt("start", settings)

    def log(self, metrics: Mapping[str, float]) -> None:
        """Pass on a step's metrics."""
        self._attempt("log", metrics)

    def artifact(self, name: str, kind: str, path: Path, metadata: Mapping[str, Any]) -> None:
        """Pass on a file or folder."""
        self._attempt("artifact", name, kind, path, metadata)

    def finish(self, exit_code: int) -> None:
        """End."""
        self._attempt("finish", exit_code)

    def _attempt(self, method: str, *arguments: Any) -> None:
        try:
            getattr(self._tracker, method)(*arguments)
        except Exception as error:
            self._report(
                f"The tracker failed in {method} ({type(error).__name__}: {error}); "
                "training goes on without it and the run folder has everything."
            )
            self._tracker = NullTracker()


@contextmanager
def tracking(
    config: TrackerConfig, run: RunFolder, identity: RunIdentity, settings: Mapping[str, Any]
) -> Iterator[Tracker]:
    """A started tracker, finished on leaving: with exit code 1 where an exception passes.

    Raises :class:`ConfigError` where ``tracker.mode=online`` finds no key; nothing ever prompts.
    """
    tracker: Tracker = NullTracker() if config.mode == "disabled" else _wandb_tracker(config, run, identity)
    tracker.start(settings)
    exit_code = 1
    try:
        yield tracker
        exit_code = 0
    finally:
        tracker.finish(exit_code)


def _wandb_tracker(config: TrackerConfig, run: RunFolder, identity: RunIdentity) -> Tracker:
    try:
        from lab.trainer.wandb_tracker import WandbTracker  # wandb takes a second to import

        return ForgivingTracker(WandbTracker(config, run, identity))
    except ConfigError:
        raise
    except Exception as error:
        print(f"There is no tracker ({type(error).__name__}: {error}); the run folder has everything.")
        return NullTracker()
