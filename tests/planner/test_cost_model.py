"""The cost model: units, reliability's goldens, sketches, what does not fit."""

import pytest

from lab.errors import ConfigError
from lab.planner import facts
from lab.planner.all_in import all_in_efficiency
from lab.planner.communication import communication
from lab.planner.config import ClusterConfig, LayoutConfig
from lab.planner.energy import device_energy, energy
from lab.planner.layouts import default_layout
from lab.planner.memory import memory
from lab.planner.pipeline import bubble
from lab.planner.quantity import BYTE, DEVICE, DEVICE_HOUR, FLOP, HOUR, JOULE, MINUTE, MWH, SECOND, TOKEN
from lab.planner.reliability import daly_interval, reliability, young_interval
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


@pytest.mark.parametrize(
    ("devices", "between", "minutes", "young", "goodput"),
    [
        (480, 105.6, 1, 1.88, 0.980),
        (480, 105.6, 5, 4.19, 0.958),
        (768, 66.0, 1, 1.48, 0.974),
        (768, 66.0, 5, 3.32, 0.946),
        (4096, 12.4, 1, 0.64, 0.928),
        (4096, 12.4, 5, 1.44, 0.864),
    ],
)
def test_reliability_reproduces_the_table(devices, between, minutes, young, goodput) -> None:
    """Young's interval in hours, and the goodput, which Daly's interval can only better."""
    found = reliability(devices, facts.failure_rate(), minutes * MINUTE)
    assert found.mean_time_between_failures.to(HOUR) == pytest.approx(between, rel=0.004)
    interval = young_interval(minutes * MINUTE, found.mean_time_between_failures)
    assert interval.to(HOUR) == pytest.approx(young, abs=0.006)
    assert found.interval < interval
    assert found.goodput == pytest.approx(goodput, abs=0.0012)


def test_an_interval_is_no_longer_than_the_time_between_failures() -> None:
    assert daly_interval(3 * HOUR, HOUR) == HOUR


def test_published_energies_are_those_of_the_devices() -> None:
    """Olmo 3 (secondary): 146 and 681 MWh in 234,000 and 1.05 million hours of H100."""
    for hours, published in ((234_000, 146), (1.05e6, 681)):
        assert device_energy(hours * DEVICE_HOUR, facts.device("h100")).range.holds(published * MWH)


def test_llama_s_energies_bound_those_with_hosts() -> None:
    """LLaMA (arXiv 2302.13971, table 15) counts 400 W times 1.1 for an A100: less than with its hosts."""
    drawn = energy(1_022_362 * DEVICE_HOUR, facts.device("a100"), ClusterConfig("c", "a100", 2048)).range
    assert drawn.central > 449 * MWH


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


def test_what_cannot_be_sketched() -> None:
    for total, active in ((3.0, 3.0), (1e9, 2e9), (1e9, 0.0), (float("nan"), 1e9)):
        with pytest.raises(
            ConfigError, match=r"(total|active)=.* cannot be used: it must (be at least|lie between) 1e"
        ):
            sketch(total, active)


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
