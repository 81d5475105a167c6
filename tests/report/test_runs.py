import json
from pathlib import Path

import pytest

from lab.errors import ConfigError
from lab.report.runs import flatten, read_run, read_runs, runs, split_run_name

from .fabricated import fabricate_run, write_json


def test_a_finished_run_is_read_whole(tmp_path):
    run = read_run(fabricate_run(tmp_path / "k_exaone-s3", "k_exaone", 3))
    assert (run.name, run.contender, run.seed, run.state, run.judged) == (
        "k_exaone-s3",
        "k_exaone",
        3,
        "done",
        True,
    )
    assert run.problems == ()
    assert run.config["optimizer"]["learning_rate"] == 0.003
    assert run.environment["device"] == "cpu"
    assert list(run.metrics["step"]) == list(range(2, 401, 2))
    assert run.metrics["train/loss"].notna().all()


def test_a_run_without_results_says_what_is_missing(tmp_path):
    folder = fabricate_run(tmp_path / "ax_k1-s1", "ax_k1", 1)
    (folder / "results.json").unlink()
    (folder / "environment.json").write_text('{"git": ')
    run = read_run(folder)
    assert not run.judged
    assert (run.contender, run.seed) == ("ax_k1", 1), "known from the folder's name"
    assert run.problems == ("results.json is missing", "environment.json is damaged")
    assert len(run.metrics) == 200


@pytest.mark.parametrize("cut", [1, 9, 40])
def test_a_metrics_file_cut_mid_line_loses_only_that_line(tmp_path, cut):
    folder = fabricate_run(tmp_path / "llama-s0", "llama", 0)
    path = folder / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[: -cut - 1])
    assert list(read_run(folder).metrics["step"]) == list(range(2, 399, 2))


def test_a_step_logged_twice_counts_once_as_last_logged(tmp_path):
    folder = fabricate_run(tmp_path / "llama-s0", "llama", 0)
    lines = [{"step": 1, "train/loss": 9.0}, {"step": 2, "train/loss": 8.0}, {"step": 1, "train/loss": 7.0}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    metrics = read_run(folder).metrics
    assert list(metrics["step"]) == [1, 2]
    assert list(metrics["train/loss"]) == [7.0, 8.0]


def test_no_metrics_yet_is_an_empty_frame(tmp_path):
    write_json(tmp_path / "status.json", {"state": "running", "step": 0, "steps": 10})
    assert read_run(tmp_path).metrics.empty


@pytest.mark.parametrize("read", [read_run, read_runs, runs])
def test_a_missing_folder_is_named(read, tmp_path):
    with pytest.raises(ConfigError, match="nowhere' does not exist"):
        read(tmp_path / "nowhere")


def test_runs_are_found_beneath_a_directory_but_not_in_hidden_or_run_folders(tmp_path):
    fabricate_run(tmp_path / "sweep" / "b-s0", "llama", 0)
    fabricate_run(tmp_path / "sweep" / "a-s1", "ax_k1", 1)
    fabricate_run(tmp_path / "sweep" / "a-s1" / "inner", "ax_k1", 1)
    fabricate_run(tmp_path / ".hydra", "llama", 0)
    (tmp_path / "empty").mkdir()
    assert [run.name for run in read_runs(tmp_path)] == ["a-s1", "b-s0"]
    table = runs(tmp_path)
    assert list(table["name"]) == ["a-s1", "b-s0"]
    assert list(table["config.optimizer.learning_rate"]) == [0.003, 0.003]
    assert table["results.bits_per_byte.ko"].between(1, 3).all()


def test_names_and_trees():
    assert split_run_name("motif_2-s10") == ("motif_2", 10)
    assert split_run_name("my-slow-run") == ("my-slow-run", None)
    assert flatten({"a": {"b": 1, "c": {}}, "d": [2]}) == {"a.b": 1, "a.c": {}, "d": [2]}


def test_a_run_folder_may_be_given_as_text(tmp_path):
    assert read_run(str(fabricate_run(tmp_path / "llama-s0", "llama", 0))).folder == Path(
        tmp_path / "llama-s0"
    )
