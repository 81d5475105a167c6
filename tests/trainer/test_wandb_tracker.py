"""What Weights & Biases is told of a run: the conventions that its tables, axes and reports rely on."""

import json
from pathlib import Path
from typing import Any

import pytest

from lab.errors import ConfigError
from lab.trainer.config import TrackerConfig
from lab.trainer.tracker import RunIdentity, tracking
from tests.trainer.stand_in import open_run

IDENTITY = RunIdentity("position_by_layer", "nope", 2)
SETTINGS = {"model": {"name": "llama", "width": 16}, "n_params": 5000}


class Service:
    """Stands in for a W&B run and remembers what it is told."""

    def __init__(self) -> None:
        self.begun: dict[str, Any] = {}
        self.axes: dict[str, dict[str, Any]] = {}
        self.artifacts: list[tuple[Any, list[str]]] = []
        self.exit_code: int | None = None

    def init(self, **settings: Any) -> "Service":
        self.begun = settings
        return self

    def define_metric(self, name: str, **settings: Any) -> None:
        self.axes[name] = settings

    def log(self, metrics: dict[str, float]) -> None:
        pass

    def log_artifact(self, artifact: Any, aliases: list[str]) -> None:
        self.artifacts.append((artifact, aliases))

    def finish(self, exit_code: int) -> None:
        self.exit_code = exit_code


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    stand_in = Service()
    monkeypatch.setattr("wandb.init", stand_in.init)
    return stand_in


def test_group_job_type_name_and_tags(tmp_path: Path, service: Service) -> None:
    config = TrackerConfig(mode="offline", tags=["debug", "nope"])
    with open_run(tmp_path) as run, tracking(config, run, IDENTITY, SETTINGS):
        pass
    begun = service.begun
    assert (begun["group"], begun["job_type"]) == ("position_by_layer", "train")
    assert begun["name"] == "position_by_layer/nope/s2"
    assert begun["tags"] == ["debug", "nope", "llama"]
    assert begun["config"]["model"] == SETTINGS["model"]
    assert (begun["config"]["experiment"], begun["config"]["variant"]) == ("position_by_layer", "nope")
    environment = begun["config"]["environment"]
    assert environment == json.loads((tmp_path / "environment.json").read_text())
    assert {"git", "packages", "device"} <= set(environment)
    assert service.exit_code == 0


def test_every_metric_is_drawn_against_tokens_and_losses_keep_their_least(
    tmp_path: Path, service: Service
) -> None:
    with open_run(tmp_path) as run, tracking(TrackerConfig(mode="offline"), run, IDENTITY, {}):
        pass
    assert service.axes["*"] == {"step_metric": "tokens"}
    assert service.axes["train/loss"] == {"step_metric": "tokens", "summary": "min"}


def test_an_artifact_says_what_the_run_had_reached(tmp_path: Path, service: Service) -> None:
    with open_run(tmp_path) as run, tracking(TrackerConfig(mode="offline"), run, IDENTITY, {}) as tracker:
        tracker.log({"step": 4, "tokens": 512, "train/loss": 3.0})
        tracker.log({"tokens": 512, "eval/bits_per_byte/ko": 2.5})
        tracker.artifact("results", "results", tmp_path / "config.yaml", {"tokens": 513})
    ((artifact, aliases),) = service.artifacts
    assert artifact.metadata == {"step": 4, "tokens": 513, "eval/bits_per_byte/ko": 2.5}
    assert (artifact.type, aliases) == ("results", ["latest"])


def test_a_continued_run_is_the_same_run_and_a_failed_one_ends_as_failed(
    tmp_path: Path, service: Service
) -> None:
    identifiers = []

    def fail() -> None:
        with open_run(tmp_path) as run, tracking(TrackerConfig(mode="offline"), run, IDENTITY, {}):
            identifiers.append(service.begun["id"])
            raise RuntimeError("the machine")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="the machine"):
            fail()
        assert service.exit_code == 1
    assert identifiers[0] == identifiers[1]


def test_a_key_that_is_none_by_its_form_is_refused_without_being_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    wanted = r"^tracker\.mode=online finds no W&B key \(WANDB_API_KEY invalid: .*\): set WANDB_API_KEY"
    with open_run(tmp_path) as run, pytest.raises(ConfigError, match=wanted) as refused:
        tracking(TrackerConfig(mode="online"), run, IDENTITY, {}).__enter__()
    assert "secret" not in str(refused.value)
