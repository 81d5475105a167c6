"""Tasks as the LM Evaluation Harness (lm-eval 0.4.13) reads them: a YAML file and a .jsonl file each, and a group.

``lm_eval --include_path FOLDER --tasks lab`` asks the same items and scores them by the same rule: ``acc_bytes`` is
the score of ``per_byte`` tasks, ``acc_mutual_info`` that of ``information`` tasks. The files name their data by
absolute path, as the harness resolves no other.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lab.data.storage import write_json_lines
from lab.errors import ConfigError
from lab.evaluation.items import Probe
from lab.evaluation.tasks.catalogue import TASKS

METRICS = {"per_byte": "acc_bytes", "information": "acc_mutual_info"}
GROUP = "lab"


def export_tasks(tasks: Mapping[str, Probe], target: Path) -> None:
    """Write ``tasks`` into the new folder ``target``, which appears whole or not at all."""
    if target.exists():
        raise ConfigError(f"export={target} cannot be used: it must be a folder that does not exist yet.")
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for name, task in tasks.items():
            write_json_lines(partial / f"{name}.jsonl", map(_row, task.items))
            _write_yaml(partial / f"{name}.yaml", task_settings(task, target.resolve() / f"{name}.jsonl"))
        _write_yaml(
            partial / f"{GROUP}.yaml", {"group": GROUP, "task": [f"{GROUP}_{name}" for name in tasks]}
        )
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def task_settings(task: Probe, data: Path) -> dict[str, Any]:
    """The YAML of one task whose items lie in the file ``data``."""
    kind = TASKS[task.name]
    metric = METRICS[kind.score]
    return {
        "task": f"{GROUP}_{task.name}",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{context}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "answer",
        "target_delimiter": "",
        "num_fewshot": 0,
        "metric_list": [{"metric": metric, "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": kind.version, "manifest": task.manifest, "construction": kind.construction},
    }


def _row(item: Any) -> dict[str, Any]:
    return {
        "context": item.context,
        "choices": list(item.choices),
        "answer": item.answer,
        "document": item.document,
    }


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)
    path.write_text(text, encoding="utf-8")
