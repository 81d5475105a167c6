"""Plans from constraints: what binds, what is recommended, money, energy, and sentences for what cannot be."""

from dataclasses import replace

import pytest

from experiments.calibrate import published_model
from lab.config import compose
from lab.errors import ConfigError
from lab.planner.config import BudgetConfig, ClusterConfig
from lab.planner.describe import goodput
from lab.planner.export import train_overrides
from lab.planner.fastest import fastest_layout, plan_for
from lab.planner.money import in_dollars, money, price, won_per_dollar
from lab.planner.plans import Candidate, Request
from lab.planner.quantity import DAY, DEVICE, DEVICE_HOUR, DOLLAR, HOUR, TOKEN, WON
from lab.planner.search import free_sizes, search
from lab.planner.training import sketch

CLUSTER = ClusterConfig("b200_768", "b200", 768)
LEASE = BudgetConfig(deadline_days=161, won_per_device_hour=9100)


@pytest.fixture(scope="module")
def motif_3():
    overrides = ("model=motif_3", "scale=published")
    return Candidate("motif_3", published_model("motif_3"), overrides)


def request(**given):
    return Request(**{"cluster": CLUSTER, "budget": LEASE, "precision": "fp8", **given})


def test_days_and_won_follow_from_device_time(motif_3):
    plan = plan_for(request(tokens=12.5e12 * TOKEN), motif_3)
    assert plan.flops.value == pytest.approx(1.06e24, rel=0.01)
    hours = plan.device_time.central / (768 * DEVICE * HOUR)
    assert plan.days.central.to(DAY) == pytest.approx(hours / 24)
    assert plan.cost.central.to(WON) == pytest.approx(9100 * 768 * hours)
    assert plan.limits["calendar"].central.to(DEVICE_HOUR) == pytest.approx(2.97e6, rel=0.005)
    assert plan.feasible
    assert plan.chance > 0.5
    assert plan.binds == "nothing"
    assert plan.cost.largest() == ["all-in efficiency"], "the price is a contract: only the time is unsure"


def test_the_binding_constraint_is_the_tightest(motif_3):
    scarce = replace(LEASE, won=1e9)
    plan = plan_for(request(budget=scarce), motif_3)
    assert plan.binds == "money"
    assert plan.chance == pytest.approx(0.8, abs=0.01)
    more = plan_for(request(budget=replace(scarce, won=2e9)), motif_3)
    assert more.tokens.to(TOKEN) == pytest.approx(2 * plan.tokens.to(TOKEN))
    assert plan_for(request(budget=replace(LEASE, deadline_days=10)), motif_3).binds == "calendar"
    assert plan_for(request(), motif_3).binds == "text"
    surer = plan_for(request(budget=scarce, chance=0.95), motif_3)
    assert surer.tokens < plan.tokens
    assert surer.chance == pytest.approx(0.95, abs=0.01)


def test_the_fastest_layout_fits_and_is_exhaustive(motif_3):
    from lab.planner.layouts import candidates
    from lab.planner.memory import memory
    from lab.planner.utilisation import utilisation

    asked = request()
    layout, needed, used = fastest_layout(asked, motif_3)
    assert layout.devices == 768
    assert needed.fits(asked.device)
    times = [
        utilisation(motif_3.model, one, asked.device).time
        for one in candidates(motif_3.model, 768, 4096, "fp8", optimizer="adamw")
        if memory(motif_3.model, one).fits(asked.device)
    ]
    assert used.time == min(times)


def test_recommendation(motif_3):
    found = search(request(), [*free_sizes(), motif_3])
    losses = [plan.loss.central for plan in found.plans]
    assert losses == sorted(losses)
    cheapest = search(request(target_loss=2.0), free_sizes()).plans
    costs = [plan.cost.central for plan in cheapest]
    assert costs == sorted(costs)
    for plan in cheapest:
        assert plan.loss.central == pytest.approx(2.0)


def test_serving_is_paid_from_the_same_money(motif_3):
    budget = replace(LEASE, won=4e9)
    alone = plan_for(request(budget=budget), motif_3)
    both = plan_for(request(budget=budget, served=3e12 * TOKEN), motif_3)
    assert both.serving_cost.central > 0 * WON
    assert both.tokens < alone.tokens
    with pytest.raises(ConfigError, match="do not even pay for serving"):
        plan_for(request(budget=budget, served=1e18 * TOKEN), motif_3)


def test_export_composes_what_was_planned(motif_3):
    asked = request(tokens=12.5e12 * TOKEN)
    for candidate in (motif_3, *free_sizes()[:2]):
        plan = plan_for(asked, candidate)
        config = compose(train_overrides(plan, goodput(plan, asked)))
        composed, trainer = config.model, config.trainer
        assert composed.plan()[-1].sparse == candidate.model.plan()[-1].sparse
        assert trainer.budget_tokens == 12_500_000_000_000
        rows = trainer.batch_size * trainer.gradient_accumulation
        assert rows == plan.layout.data * plan.layout.micro_batches * plan.layout.micro_batch
        if candidate is motif_3:
            assert composed == motif_3.model
        from lab.model.size import size

        ours, theirs = size(candidate.model, 4096), size(composed, 4096)
        assert theirs.parameters_total == ours.parameters_total
        assert theirs.flops_per_token_training == ours.flops_per_token_training


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"cluster": ClusterConfig("few", "h100", 8)},
            r"cannot hold Motif 3: memory binds, .*of them would hold it",
        ),
        ({"cluster": ClusterConfig("odd", "b201", 8)}, r"cluster\.device=b201 is unknown: it can be"),
        ({"budget": BudgetConfig()}, r"no end: give tokens"),
        (
            {"tokens": 12.5e12 * TOKEN, "budget": BudgetConfig(deadline_days=2)},
            r"calendar binds, \d.* times over; give \d+ days, or take [\d,]+ devices, or train on .* at most",
        ),
        ({"tokens": 12.5e12 * TOKEN, "budget": BudgetConfig(won=1e8)}, r"money binds, .*; give ₩[\d,]+"),
        (
            {"tokens": 1e12 * TOKEN, "budget": BudgetConfig(device_hours=1e3)},
            r"device-hours binds, .*; give [\d,]+ d",
        ),
        ({"target_loss": 1.82, "budget": LEASE}, r"target_loss=1\.82 is out of reach for Motif 3"),
        ({"cluster": ClusterConfig("amd", "mi325x", 512)}, r"won_per_device_hour must be set|no rent"),
    ],
)
def test_one_sentence_for_the_impossible(motif_3, given, sentence):
    given = {"budget": BudgetConfig(deadline_days=10), **given}
    with pytest.raises(ConfigError, match=sentence) as caught:
        search(request(**given), [motif_3])
    assert str(caught.value).count(". ") == 0


def test_the_nearest_change_is_enough(motif_3):
    """The devices that a refusal names do hold the model, and half of them do not."""
    with pytest.raises(ConfigError) as caught:
        search(request(cluster=ClusterConfig("few", "b200", 8)), [motif_3])
    enough = int(str(caught.value).split("; ")[1].split()[0].replace(",", ""))
    fastest_layout(request(cluster=ClusterConfig("enough", "b200", enough)), motif_3)
    with pytest.raises(ConfigError):
        fastest_layout(request(cluster=ClusterConfig("half", "b200", enough // 2)), motif_3)


def test_the_devices_of_a_refusal_meet_the_deadline(motif_3):
    asked = request(tokens=12.5e12 * TOKEN, budget=BudgetConfig(deadline_days=12))
    with pytest.raises(ConfigError) as caught:
        search(asked, [motif_3])
    enough = int(str(caught.value).split("take ")[1].split()[0].replace(",", ""))
    larger = replace(asked, cluster=replace(CLUSTER, devices=enough))
    assert search(larger, [motif_3]).recommended.days.central.to(DAY) <= 12


def test_a_step_is_no_larger_than_asked(motif_3):
    """A batch that cannot grow with the cluster leaves shorter pipelines full of bubble."""
    free, bound = (plan_for(request(tokens=1e12 * TOKEN, batch=size * TOKEN), motif_3) for size in (1e9, 8e6))
    assert bound.layout.tokens_per_step <= 8e6 < free.layout.tokens_per_step
    assert bound.utilisation.time > free.utilisation.time
    with pytest.raises(ConfigError, match=r"too few sequences .* take \d+ devices, or a larger batch_tokens"):
        plan_for(request(tokens=1e12 * TOKEN, batch=4096 * TOKEN), motif_3)


def test_long_sequences_are_cut_over_devices(motif_3):
    plan = plan_for(request(tokens=1e12 * TOKEN, sequence=1_048_576), motif_3)
    assert plan.layout.context > 1
    assert plan.memory.fits(request().device)


def test_a_wanted_loss_ends_where_the_text_does(motif_3):
    with pytest.raises(ConfigError, match=r"text binds, .* trillion tokens of text, or train on"):
        search(request(target_loss=1.9), [motif_3])


def test_the_cheapest_of_equals_is_named(motif_3):
    reasons = " ".join(search(request(), [*free_sizes(), motif_3]).reasons)
    assert "the cheapest of them is" in reasons


def test_the_cluster_s_own_links_count(motif_3):
    slow = replace(CLUSTER, scale_out_gb_per_second=5.0)
    usual, slowed = (plan_for(request(tokens=1e12 * TOKEN, cluster=one), motif_3) for one in (CLUSTER, slow))
    assert slowed.utilisation.time > usual.utilisation.time


def test_prices_span_what_was_published():
    span = price("b200", BudgetConfig(won_per_dollar=1400)).range
    low, high = span.low * HOUR * DEVICE, span.high * HOUR * DEVICE
    assert low < 3.75 * 1400 * WON < high
    assert low < 9100 * WON < high
    assert won_per_dollar(BudgetConfig()).range.width == pytest.approx(1480.1 / 1350)


def test_money_is_the_smaller_sum():
    assert money(BudgetConfig(won=2e9, dollars=1e6, won_per_dollar=1400)) == 1.4e9 * WON
    assert money(BudgetConfig()) is None
    won = price("b200", LEASE) * (1e3 * DEVICE_HOUR)
    assert in_dollars(won, BudgetConfig(won_per_dollar=1400)).central.to(DOLLAR) == pytest.approx(6500)


def test_a_model_beyond_every_cluster():
    vast = Candidate("vast", sketch(1e16, 1e13, name="vast"))
    with pytest.raises(ConfigError, match="no number of them would hold it"):
        search(request(tokens=1e9 * TOKEN), [vast])
