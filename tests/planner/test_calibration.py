"""The calibration: goldens, published layouts, blind predictions, and the committed tables."""

import pytest

from experiments.calibrate import published_model
from lab.planner import facts
from lab.planner.calibration import Calibration, calibrate
from lab.planner.calibration_tables import BEGIN, END, document, slowdowns_yaml
from lab.planner.memory import memory


@pytest.fixture(scope="module")
def found() -> Calibration:
    """Made once: it takes a quarter of a minute on one core."""
    return calibrate(published_model)


def test_goldens_hold_within_half_a_percent(found: Calibration) -> None:
    assert len(found.goldens) > 60
    assert {golden.what: golden.error for golden in found.goldens if abs(golden.error) > 0.005} == {}


def test_published_layouts_fit(found: Calibration) -> None:
    """Where a row has no layout of its own, finding one already raises if nothing fits."""
    unfit = []
    for error in found.steps:
        row, layout = error.step.row, error.step.layout
        kept = {**row.assumed, **row.layout}
        assert {key: getattr(layout, key) for key in kept} == kept
        if not memory(published_model(row.model), layout).fits(facts.device(row.device)):
            unfit.append(row.name)
    assert unfit == []


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


def test_committed_tables_are_what_the_command_makes(found: Calibration) -> None:
    text = (facts.FACTS.parent / "README.md").read_text(encoding="utf-8")
    committed = BEGIN + text.split(BEGIN)[1].split(END)[0] + END + "\n"
    assert committed == document(found)
    assert (facts.FACTS / "slowdowns.yaml").read_text(encoding="utf-8") == slowdowns_yaml(found)
