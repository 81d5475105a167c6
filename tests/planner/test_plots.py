"""The figures show the plan's own numbers."""

import pytest

from experiments.calibrate import published_model
from lab.planner.config import BudgetConfig, ClusterConfig
from lab.planner.plans import Candidate, Request
from lab.planner.plots import (
    _tokens_a_day,
    frontier_figure,
    memory_figure,
    tornado_figure,
    what_if_figure,
    write_figures,
)
from lab.planner.quantity import GIB, TOKEN, WON
from lab.planner.search import search


@pytest.fixture(scope="module")
def asked():
    return Request(
        ClusterConfig("small", "b200", 64),
        BudgetConfig(won=2e9, deadline_days=60),
        tokens=1e12 * TOKEN,
        precision="fp8",
    )


@pytest.fixture(scope="module")
def found(asked):
    names = ("motif_2", "llama")
    return search(asked, [Candidate(name, published_model(name)) for name in names])


def test_bars_stack_to_the_total(found, asked):
    axis = memory_figure(found.plans, asked).axes[0]
    for row, plan in enumerate(found.plans):
        widths = [
            bar.get_width() for bar in axis.patches if abs(bar.get_y() + bar.get_height() / 2 - row) < 0.1
        ]
        assert sum(widths) == pytest.approx(plan.memory.total.to(GIB))


def test_dots_stand_at_cost_and_loss(found, asked):
    axis = frontier_figure(found, asked).axes[0]
    dots = {(line.get_xdata()[0], line.get_ydata()[0]) for line in axis.lines if line.get_marker() == "o"}
    assert dots == {(plan.cost.central.to(1e9 * WON), plan.loss.central) for plan in found.plans}
    assert {"calendar", "money"} <= {text.get_text() for text in axis.texts}


def test_the_widest_bar_is_on_top(found):
    plan = found.recommended
    axis = tornado_figure(plan).axes[0]
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert labels == ["all together", *plan.cost.largest(9)]


def test_files(found, asked, tmp_path):
    paths = write_figures(found, asked, tmp_path / "figures")
    assert [path.name for path in paths] == ["frontier.png", "memory.png", "what_if.png", "tornado.png"]
    assert all(path.stat().st_size > 10_000 for path in paths)


def test_more_devices_train_more(found, asked):
    axis = what_if_figure(found.recommended, asked).axes[0]
    assert axis.get_title(loc="left") == "Motif 2: tokens trained with a chance of 80%"
    few, asked_for, many = (_tokens_a_day(found.recommended, asked, devices) for devices in (32, 64, 128))
    assert few < asked_for < many
