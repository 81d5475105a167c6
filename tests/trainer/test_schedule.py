"""The learning rate over a run."""

import itertools

import pytest

from lab.trainer.config import ScheduleConfig
from lab.trainer.schedule import Schedule


def factors(steps: int = 200, **settings: object) -> list[float]:
    schedule = Schedule(ScheduleConfig(**settings), steps)
    return [schedule.factor(step) for step in range(steps)]


def test_warm_up_is_linear_then_constant_then_decays_to_the_final_fraction() -> None:
    values = factors(warmup_fraction=0.1, decay_fraction=0.25, final_fraction=0.1)
    assert values[:20] == pytest.approx([(step + 1) / 20 for step in range(20)])
    assert values[20:150] == [1.0] * 130
    assert values[150:] == pytest.approx([1 - 0.9 * (step + 1) / 50 for step in range(50)])


def test_warm_up_in_steps_is_the_same_whatever_the_length() -> None:
    for steps in (40, 400):
        values = factors(steps, warmup_steps=8, warmup_fraction=None)
        assert values[3] == 0.5
        assert values[7] == 1.0


def test_inverse_square_root_meets_both_ends_and_falls_fastest_at_first() -> None:
    values = factors(decay_shape="inverse_sqrt", decay_fraction=0.2, final_fraction=0.25)
    decay = values[-41:]
    assert decay[0] == 1.0
    assert decay[-1] == pytest.approx(0.25)
    drops = [before - after for before, after in itertools.pairwise(decay)]
    assert drops == sorted(drops, reverse=True)
    assert decay[20] == pytest.approx((1 + 15 / 2) ** -0.5)


def test_cosine_is_half_way_down_in_the_middle() -> None:
    decay = factors(decay_shape="cosine", warmup_fraction=0.0, decay_fraction=1.0, final_fraction=0.2)
    assert decay[99] == pytest.approx(0.6)
    assert decay[-1] == pytest.approx(0.2)


def test_a_run_of_one_step_moves() -> None:
    assert factors(1)[0] > 0


def test_a_warm_up_that_outlasts_the_run_never_exceeds_the_decay() -> None:
    values = factors(10, warmup_steps=100, warmup_fraction=None)
    assert max(values) <= 0.1
