"""The cost model: units, reliability's goldens, sketches, what does not fit."""

import pytest

from lab.errors import ConfigError
from lab.planner import facts
from lab.planner.all_in import all_in_efficiency
from lab.planner.communication import communication
from lab.planner.config import ClusterConfig, LayoutConfig
from lab.planner.energy import energy
from lab.planner.layouts import default_layout
from lab.planner.memory import memory
from lab.planner.pipeline import bubble
from lab.planner.quantity import BYTE, DEVICE, DEVICE_HOUR, FLOP, HOUR, JOULE, MINUTE, SECOND, TOKEN
from lab.planner.reliability import reliability
from lab.planner.training import sketch, training_work
from lab.planner.utilisation import ideal_times, utilisation


def test_every_part_has_its_unit() -> None:
    model, device = facts.reference_model("deepseek_v3"), facts.device("b200")
    layout = LayoutConfig(data=32, pipeline=8, expert=32, virtual_stages=2, precision="fp8")
    per_token = (DEVICE * SECOND / TOKEN).dimension
    assert training_work(model, 4096).total.dimension == (FLOP / TOKEN).dimension
    assert {part.dimension for part in memory(model, layout).parts().values()} == {BYTE.dimension}
    assert communication(model, layout, device).total.dimension == per_token
    assert {part.dimension for part in ideal_times(model, layout, device).values()} == {per_token}
    expected = utilisation(model, layout, device)
    assert expected.rate.dimension == (FLOP / SECOND).dimension
    assert sum(expected.shares().values()) == pytest.approx(1)
    joules = energy(1e6 * DEVICE_HOUR, device, ClusterConfig("c", "b200", 768)).central
    assert joules.dimension == JOULE.dimension


def test_reliability_reproduces_the_table_for_768_devices() -> None:
    found = reliability(768, facts.failure_rate(), MINUTE)
    assert found.mean_time_between_failures.to(HOUR) == pytest.approx(66.0, rel=0.002)
    assert found.interval.to(HOUR) == pytest.approx(1.48, abs=0.005)
    assert found.goodput == pytest.approx(0.974, abs=0.0006)


def test_bubble_of_a_pipeline() -> None:
    assert bubble(LayoutConfig(pipeline=8, global_batch=16)) == pytest.approx(7 / 16)
    assert bubble(LayoutConfig(pipeline=8, global_batch=16, virtual_stages=2)) == pytest.approx(7 / 32)
    assert bubble(LayoutConfig()) == 0


def test_a_sketch_has_the_counts_asked_for() -> None:
    from lab.model.size import size

    for total, active in ((7e9, 7e9), (109e9, 17e9), (1e12, 32e9)):
        found = size(sketch(total, active), 1)
        assert found.parameters_total == pytest.approx(total, rel=0.05)
        assert found.parameters_active == pytest.approx(active, rel=0.05)


def test_what_does_not_fit_is_told_in_a_sentence() -> None:
    model = facts.reference_model("llama_3_405b")
    with pytest.raises(ConfigError, match="cannot hold llama_3_405b"):
        default_layout(model, facts.device("h100"), 8, 8192, "bf16")
    with pytest.raises(ConfigError, match=r"cluster\.device=tpu is unknown"):
        facts.device("tpu")


def test_the_interval_of_the_next_run_is_made_of_order_statistics() -> None:
    interval = all_in_efficiency([0.1 * step for step in range(1, 10)]).range
    assert interval.low == pytest.approx(0.1)
    assert interval.high == pytest.approx(0.9)
