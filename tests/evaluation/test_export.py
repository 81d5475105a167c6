"""Tasks for the harness: its keys, the same items, and a folder that is whole or not there."""

import json
from pathlib import Path

import pytest
import yaml

from lab.errors import ConfigError
from lab.evaluation.config import SuiteConfig
from lab.evaluation.suite import make_suite
from lab.evaluation.tasks.catalogue import TASKS
from lab.evaluation.tasks.export import export_tasks
from tests.evaluation.held_out import written

TASKS_MADE = make_suite(written(), SuiteConfig(num_items=8)).tasks


def test_every_task_has_its_items_and_its_metric(tmp_path: Path) -> None:
    target = tmp_path / "harness"
    export_tasks(TASKS_MADE, target)
    group = yaml.safe_load((target / "lab.yaml").read_text(encoding="utf-8"))
    assert group == {"group": "lab", "task": [f"lab_{name}" for name in TASKS]}
    for name, task in TASKS_MADE.items():
        settings = yaml.safe_load((target / f"{name}.yaml").read_text(encoding="utf-8"))
        assert settings["task"] == f"lab_{name}"
        assert settings["metadata"]["manifest"] == task.manifest
        metric = {"per_byte": "acc_bytes", "information": "acc_mutual_info"}[TASKS[name].score]
        assert [one["metric"] for one in settings["metric_list"]] == [metric]
        data = Path(settings["dataset_kwargs"]["data_files"]["test"])
        assert data == target / f"{name}.jsonl"
        rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
        assert [(row["context"], tuple(row["choices"]), row["answer"]) for row in rows] == [
            (item.context, item.choices, item.answer) for item in task.items
        ]


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^export=.* it must be a folder that does not exist yet\.$"):
        export_tasks(TASKS_MADE, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_half_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr("lab.evaluation.tasks.export._write_yaml", fail)
    with pytest.raises(OSError, match="no room"):
        export_tasks(TASKS_MADE, tmp_path / "harness")
    assert list(tmp_path.iterdir()) == []
