"""The room's settings: files and classes agree, and what cannot be used is refused by its key."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.errors import ConfigError
from lab.trainer.config import (
    AdamWConfig,
    AdamWForTheRest,
    MuonConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrackerConfig,
    TrainerConfig,
)

CONF = Path(__file__).resolve().parents[2] / "conf"
CLASSES: dict[str, type] = {
    "optimizer/adamw": AdamWConfig,
    "optimizer/muon": MuonConfig,
    "schedule/constant_then_decay": ScheduleConfig,
    "schedule/cosine": ScheduleConfig,
    "schedule/motif_2_6b": ScheduleConfig,
    "trainer/default": TrainerConfig,
    "tracker/auto": TrackerConfig,
    "tracker/online": TrackerConfig,
    "tracker/offline": TrackerConfig,
    "tracker/disabled": TrackerConfig,
}


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((CONF / f"{name}.yaml").read_text(encoding="utf-8"))


def build(name: str) -> Any:
    settings = read(name)
    if "adamw" in settings:
        settings["adamw"] = AdamWForTheRest(**settings["adamw"])
    return CLASSES[name](**settings)


@pytest.mark.parametrize("name", CLASSES)
def test_a_file_names_every_setting_and_no_other(name: str) -> None:
    assert asdict(build(name)).keys() == read(name).keys()


def test_every_file_of_the_room_is_covered() -> None:
    files = {
        f"{path.parent.name}/{path.stem}"
        for group in ("optimizer", "schedule", "trainer", "tracker")
        for path in (CONF / group).glob("*.yaml")
    }
    assert files == set(CLASSES)


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("optimizer/adamw", AdamWConfig("adamw", learning_rate=1e-3)),
        ("optimizer/muon", MuonConfig("muon", learning_rate=4e-3)),
        ("schedule/constant_then_decay", ScheduleConfig()),
        ("tracker/auto", TrackerConfig()),
        ("trainer/default", TrainerConfig(sequence_length=256, batch_size=8, budget_flops=4e12)),
    ],
)
def test_defaults_in_classes_are_those_in_files(name: str, default: OptimizerConfig) -> None:
    assert asdict(build(name)) == asdict(default)


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: AdamWConfig("adamw", learning_rate=0.0), "optimizer.learning_rate=0.0"),
        (lambda: AdamWConfig("adamw", 1e-3, betas=[0.9, 1.0]), "optimizer.betas=[0.9, 1.0]"),
        (lambda: AdamWForTheRest("adamw", 1e-3, eps=0.0), "optimizer.adamw.eps=0.0"),
        (lambda: MuonConfig("muon", 1e-3, newton_schulz_steps=0), "optimizer.newton_schulz_steps=0"),
        (lambda: MuonConfig("muon", 1e-3, newton_schulz_precision="fp8"), "float32, bfloat16"),
        (lambda: ScheduleConfig(decay_shape="square"), "linear, cosine, inverse_sqrt"),
        (lambda: ScheduleConfig(warmup_steps=5), "schedule.warmup_fraction=0.05"),
        (lambda: ScheduleConfig(warmup_fraction=0.9), "schedule.decay_fraction=0.4"),
        (
            lambda: ScheduleConfig(decay_shape="inverse_sqrt", final_fraction=0.0),
            "schedule.final_fraction=0.0",
        ),
        (lambda: TrainerConfig(256, 0, steps=1), "trainer.batch_size=0"),
        (lambda: TrainerConfig(256, 8, steps=1, precision="float16"), "trainer.precision=float16"),
        (
            lambda: TrainerConfig(256, 8, steps=1, checkpoint_every_seconds=0.0),
            "checkpoint_every_seconds=0.0",
        ),
        (lambda: TrainerConfig(256, 8, steps=0), "trainer.steps=0"),
        (lambda: TrainerConfig(256, 8), "exactly one of budget_flops, budget_tokens and steps"),
        (lambda: TrainerConfig(256, 8, budget_flops=1e12, steps=5), "trainer.budget_flops=1000000000000.0"),
        (lambda: TrackerConfig(mode="cloud"), "auto, online, offline, disabled"),
    ],
)
def test_what_cannot_be_used_is_named(make: Any, key: str) -> None:
    with pytest.raises(ConfigError) as error:
        make()
    assert key in str(error.value)
    assert str(error.value).count(". ") == 0, "one sentence"
