"""A law from run folders: finished runs count, others do not."""

import json

import pytest

from lab.errors import ConfigError
from lab.planner.interval import certain
from lab.planner.quantity import TOKEN
from lab.planner.scaling import CHINCHILLA
from lab.planner.sweep import sweep_family


def write(folder, parameters, tokens, loss, state="done"):
    folder.mkdir(parents=True)
    (folder / "status.json").write_text(json.dumps({"state": state}))
    results = {
        "size": {"parameters_active": parameters},
        "training": {"tokens": tokens, "final_loss": loss},
    }
    (folder / "results.json").write_text(json.dumps(results))


def test_finished_runs_are_fitted(tmp_path):
    for size in (1e6, 4e6, 16e6):
        for tokens in (1e8, 4e8, 16e8):
            write(tmp_path / f"{size:g}-{tokens:g}", size, tokens, CHINCHILLA.loss(size, tokens * TOKEN))
    write(tmp_path / "failed", 1e6, 1e8, 99.0, state="failed")
    family = sweep_family(tmp_path)
    loss = family.loss(certain(8e6), certain(8e8 * TOKEN))
    assert loss.central == pytest.approx(CHINCHILLA.loss(8e6, 8e8 * TOKEN), rel=2e-3)
    assert list(loss.spreads) == ["scaling law (bootstrap of the sweep)"]


def test_too_few_runs(tmp_path):
    write(tmp_path / "one", 1e6, 1e8, 3.0)
    with pytest.raises(ConfigError, match="cannot be fitted: it has 1 finished runs of 1 sizes"):
        sweep_family(tmp_path)
    with pytest.raises(ConfigError):
        sweep_family(tmp_path / "absent")
