"""The calibration: goldens, published layouts, blind predictions, and the committed tables."""

import pytest

from experiments.calibrate import published_model
from lab.planner import facts
from lab.planner.calibration import (
    Calibration,
    calibrate,
    coverage,
    median_error,
    run_errors,
    steps,
    width,
)
from lab.planner.calibration_tables import BEGIN, END, LARGE, document, slowdowns_yaml
from lab.planner.config import LayoutConfig
from lab.planner.memory import memory


@pytest.fixture(scope="module")
def found() -> Calibration:
    """Made once: a few seconds on one core."""
    return calibrate(published_model)


def test_goldens_hold_within_half_a_percent(found: Calibration) -> None:
    assert len(found.goldens) > 60
    assert {golden.what: golden.error for golden in found.goldens if abs(golden.error) > 0.005} == {}


def test_published_layouts_fit(found: Calibration) -> None:
    """Where a row has no layout of its own, finding one already raises if nothing fits."""
    unfit = []
    for error in (*found.steps, *found.later_steps):
        row, layout = error.step.row, error.step.layout
        kept = {**row.assumed, **row.layout}
        assert {key: getattr(layout, key) for key in kept} == kept
        if not memory(published_model(row.model), layout).fits(facts.device(row.device)):
            unfit.append(row.name)
    assert unfit == []


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("k_exaone", {"data": 2, "tensor": 4, "pipeline": 8, "expert": 8}),
        ("k_exaone_2", {"data": 8, "tensor": 4, "pipeline": 16, "expert": 32}),
    ],
)
def test_published_recipes_fit(name: str, sizes: dict[str, int]) -> None:
    """Megatron-Bridge's recipes for K-EXAONE on 64 and 512 H100, which recompute everything."""
    layout = LayoutConfig(**sizes, recompute="full")  # type: ignore[arg-type]
    assert memory(published_model(name), layout).fits(facts.device("h100"))


def test_blind_fits_have_not_seen_what_they_predict(found: Calibration) -> None:
    """All rows of one model or device share a fit, which differs from that of leaving one row out."""
    by_row = {error.step.row.name: error.predicted for error in found.steps}
    for errors in (found.steps_of_new_models, found.steps_of_new_devices):
        assert [error.step.row.name for error in errors] == list(by_row)
        assert all(error.published > 0 for error in errors)
    kimi = next(error for error in found.steps_of_new_models if error.step.row.model == "kimi_k2")
    assert kimi.predicted == pytest.approx(by_row[kimi.step.row.name], rel=1e-6)  # the only row of its model
    moved = [e for e in found.steps_of_new_devices if abs(e.predicted / by_row[e.step.row.name] - 1) > 0.01]
    assert len(moved) > 10


def test_each_miss_is_named_and_explained(found: Calibration) -> None:
    """What is known first, marked, and what is only inferred, marked; and no explanation of what was met."""
    missed = {
        "rates": [e.step.row.name for e in (*found.steps, *found.later_steps) if abs(e.error) > LARGE],
        "runs": [e.run.name for e in (*found.runs, *found.later_runs) if not e.covered],
    }
    for kind, names in missed.items():
        assert sorted(facts.read("misses")[kind]) == sorted(names)
        assert all(facts.explanation(kind, name).startswith("known: ") for name in names)


def test_what_the_planner_must_show(found: Calibration) -> None:
    """Median error of rates at most 15 %; 70 to 95 % of runs inside intervals of a median width of at most 3."""
    for errors in (found.steps, found.steps_of_new_models, found.steps_of_new_devices, found.later_steps):
        assert median_error(errors) <= 0.15
    for errors in (found.runs, found.later_runs):
        assert 0.70 <= coverage(errors) <= 0.95
        assert width(errors) <= 3
    assert 0.70 <= coverage(found.runs_of_new_houses) <= 0.95


def test_a_run_is_predicted_without_what_was_measured_in_it() -> None:
    """The step rates of Llama 3.1 405B come from the run itself: the fit that predicts its hours must not see them."""
    rows = steps(published_model, facts.throughputs())
    own = {"llama3.1-405b meta 8192", "llama3.1-405b meta 16384", "llama3.1-405b meta 131k"}
    others = [row for row in rows if row.row.name not in own]
    (with_own,) = (e for e in run_errors(published_model, rows) if e.run.name == "Llama 3.1 405B")
    (without,) = (e for e in run_errors(published_model, others) if e.run.name == "Llama 3.1 405B")
    assert with_own.in_run == pytest.approx(without.in_run, rel=1e-9)


def test_no_run_of_a_house_is_seen_where_its_house_is_left_out(found: Calibration) -> None:
    llama = [error for error in found.runs_of_new_houses if error.run.house == "Llama"]
    assert len(llama) == 10
    assert len({round(error.all_in.high / error.in_run, 9) for error in llama}) == 1


def test_committed_tables_are_what_the_command_makes(found: Calibration) -> None:
    text = (facts.FACTS.parent / "README.md").read_text(encoding="utf-8")
    committed = BEGIN + text.split(BEGIN)[1].split(END)[0] + END + "\n"
    assert committed == document(found)
    assert (facts.FACTS / "slowdowns.yaml").read_text(encoding="utf-8") == slowdowns_yaml(found)
