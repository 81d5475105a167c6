"""A suite: every part written once and read again, and two models compared on the same items."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab.data.tokenizer import Tokenizer
from lab.errors import ConfigError
from lab.evaluation.config import SuiteConfig
from lab.evaluation.subject import Subject
from lab.evaluation.suite import Suite, compare_tasks, make_suite, run_suite
from tests.evaluation.held_out import written
from tests.evaluation.stand_ins import tiny_decoder

CONFIG = SuiteConfig(
    sequence_length=32, batch_size=8, max_bytes=600, num_items=8, tasks=["particle_role", "arithmetic_ko"]
)
TOKENIZER = Tokenizer.train([one.text for one in written().documents], vocab_size=400)


@pytest.fixture(scope="module")
def suite() -> Suite:
    return make_suite(written(), CONFIG)


def subject(seed: int = 0) -> Subject:
    return Subject("tiny", f"digest{seed}", tiny_decoder(seed), TOKENIZER, 32, 512)


class Watched:
    """The names of the parts that were measured."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def __call__(self, name: str):  # type: ignore[no-untyped-def]
        self.parts.append(name)
        return lambda done, total: None


PARTS = ["ko", "en", "maths", "particle_role", "arithmetic_ko"]


def test_a_second_call_measures_nothing_and_says_the_same(suite: Suite, tmp_path: Path) -> None:
    first, second = Watched(), Watched()
    found = run_suite(suite, subject(), CONFIG, tmp_path, first)
    assert first.parts == PARTS
    assert run_suite(suite, subject(), CONFIG, tmp_path, second) == json.loads(json.dumps(found))
    assert second.parts == []
    assert set(found["bits_per_byte"]) == {"ko", "en", "maths"}
    assert [row["first"] for row in found["bits_per_byte"]["ko"]["positions"]] == [0, 8, 16, 32, 64]


def test_an_interrupted_suite_goes_on_where_it_was(suite: Suite, tmp_path: Path) -> None:
    class Interrupted(Watched):
        def __call__(self, name: str):  # type: ignore[no-untyped-def]
            if name == "particle_role":
                raise KeyboardInterrupt
            return super().__call__(name)

    with pytest.raises(KeyboardInterrupt):
        run_suite(suite, subject(), CONFIG, tmp_path, Interrupted())
    again = Watched()
    run_suite(suite, subject(), CONFIG, tmp_path, again)
    assert again.parts == ["particle_role", "arithmetic_ko"]


def test_what_changed_is_measured_again(suite: Suite, tmp_path: Path) -> None:
    run_suite(suite, subject(), CONFIG, tmp_path, Watched())
    cases: list[tuple[Subject, SuiteConfig, list[str]]] = [
        (subject(1), CONFIG, PARTS),
        (subject(1), replace(CONFIG, long_context=2), ["ko", "en", "maths"]),
        (subject(1), replace(CONFIG, long_context=2, window=100), ["particle_role", "arithmetic_ko"]),
        (subject(1), replace(CONFIG, long_context=2, window=100, batch_size=2), []),
    ]
    for one, config, expected in cases:
        watched = Watched()
        run_suite(suite, one, config, tmp_path, watched)
        assert watched.parts == expected
    (tmp_path / "bits-ko.json").write_text('{"key": ')
    (tmp_path / "task-particle_role.json").write_text("[]")
    watched = Watched()
    run_suite(suite, subject(1), cases[-1][1], tmp_path, watched)
    assert watched.parts == ["ko", "particle_role"]


def test_a_length_beyond_the_model_is_refused(suite: Suite, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"evaluation.sequence_length=600 .* at most the model's 512 positions"
    ):
        run_suite(suite, subject(), replace(CONFIG, sequence_length=600), tmp_path, Watched())


def figures(
    correct: list[bool], manifest: str = "m", margins: Sequence[float] | None = None
) -> dict[str, object]:
    return {
        "task": "made_up",
        "manifest": manifest,
        "chance": 0.25,
        "correct": correct,
        "margins": [0.0] * len(correct) if margins is None else margins,
        "groups": [*range(len(correct))],
        "requested": len(correct),
        "truncated": 0,
        "fewest_tokens": 0.25,
    }


def test_models_are_compared_item_by_item() -> None:
    good, poor = [True] * 30 + [False] * 10, [True] * 10 + [False] * 30
    compared = compare_tasks({"made_up": figures(good)}, {"made_up": figures(poor)}, seed=0)["made_up"]
    assert compared["difference"] == pytest.approx(0.5)
    assert 0 < compared["low"] < 0.5 < compared["high"]
    assert compared["p_value"] == pytest.approx(2 * 0.5**20)
    same = compare_tasks({"made_up": figures(good)}, {"made_up": figures(good)}, seed=0)["made_up"]
    assert (same["difference"], same["p_value"], same["separates"]) == (0, 1, False)
    with pytest.raises(
        ConfigError, match="made_up cannot be compared: the two models were asked different items"
    ):
        compare_tasks({"made_up": figures(good)}, {"made_up": figures(poor, "other")}, seed=0)


def test_margins_tell_models_apart_by_holms_p_over_all_tasks() -> None:
    noise = np.random.default_rng(0).normal(0, 1, 40)
    noise -= noise.mean()
    error = noise.std(ddof=1) / 40**0.5
    answers, zeros = [False] * 40, [0.0] * 40

    def compare(shifts: dict[str, float]) -> dict[str, dict[str, Any]]:
        first = {name: figures(answers, margins=(noise + shift * error)) for name, shift in shifts.items()}
        return compare_tasks(first, {name: figures(answers, margins=zeros) for name in shifts}, seed=0)

    alone = compare({"a": 2.3})["a"]  # p 0.027 at 39 degrees of freedom
    assert alone["separates"]
    assert not alone["trails"]
    assert 0 < alone["margin"]["low"] < alone["margin"]["mean"] < alone["margin"]["high"]
    assert alone["margin"]["p_holm"] == alone["margin"]["p_value"]
    three = compare({"a": 2.3, "b": 0.0, "c": -6.0})
    assert three["a"]["margin"]["p_holm"] == pytest.approx(2 * alone["margin"]["p_value"])
    assert {name: (one["separates"], one["trails"]) for name, one in three.items()} == {
        "a": (False, False),
        "b": (False, False),
        "c": (False, True),
    }


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tasks": [], "intrinsic": False}, r"evaluation.tasks=\[\] leaves nothing to measure"),
        ({"long_context": 0}, "evaluation.long_context=0 cannot be used"),
        ({"window": 0}, "evaluation.window=0 cannot be used: it must be null or at least 1"),
    ],
)
def test_settings_that_measure_nothing_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        SuiteConfig(**settings)  # type: ignore[arg-type]
