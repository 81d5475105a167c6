"""Sweep folders that are whole, half finished, damaged, or no sweeps at all."""

import json

import pytest
import yaml

from lab.errors import ConfigError
from lab.report.runs import runs
from lab.report.sweep_table import require_results, sweep_table
from lab.report.sweeps import frame, is_sweep, read_sweep

from .fabricated_sweep import fabricate_sweep


@pytest.fixture
def folder(tmp_path):
    return fabricate_sweep(tmp_path / "position")


def change_json(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def change_config(folder, change):
    config = yaml.safe_load((folder / "config.yaml").read_text())
    change(config)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def refusal(folder):
    """The one sentence with which the folder is refused."""
    with pytest.raises(ConfigError) as caught:
        require_results(read_sweep(folder))
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def test_a_finished_sweep_is_read_whole(folder):
    sweep = read_sweep(folder)
    assert len(sweep.jobs) == 3 * 3 + 3 * 5
    assert all(job.finished for job in sweep.jobs)
    assert (sweep.problems, sweep.notes) == ([], ())
    assert sweep.by_seed("nope", sweep.metric).keys() == {0, 1, 2, 3, 4}, "the search's seed is not compared"
    assert list(sweep.searched("rope", sweep.metric)) == ["low", "middle", "high"]
    assert sweep.best_option("rope") == sweep.chosen["rope"] == "middle"
    assert sweep.core_hours("rope") == pytest.approx(8 * 41 * 0.25 / 3600)


def test_a_half_finished_sweep_says_what_is_missing(folder):
    def still_searching(description):
        description["jobs"] = [job for job in description["jobs"] if job["phase"] == "search"]
        del description["chosen"]

    change_json(folder / "sweep.json", still_searching)
    change_json(
        folder / "rope-low-s100" / "status.json",
        lambda status: status.update(state="failed", error="Loss is NaN."),
    )
    change_json(
        folder / "nope-low-s100" / "status.json", lambda status: status.update(state="running", step=7)
    )
    (folder / "nope-low-s100" / "results.json").unlink()
    sweep = read_sweep(folder)
    waiting, failed, running = sweep.problems
    assert waiting.startswith("Not begun, 15 of 24 jobs: rope-s0, rope-s1, ")
    assert failed == "rope-low-s100 failed: Loss is NaN."
    assert running == "nope-low-s100 is not finished (running at step 7 of 41)."
    assert sweep.best_option("rope") is None
    assert (
        "no finished run to compare: of its 24 jobs are 1 failed, 7 done, 1 running, 15 waiting"
        in refusal(folder)
    )
    assert sweep_table(sweep).rows[0]["chosen"].text == "not chosen yet"


def test_files_cut_off_are_read_as_far_as_they_go_and_told(folder):
    metrics = folder / "rope-middle-s0" / "metrics.jsonl"
    metrics.write_bytes(metrics.read_bytes()[:-20])
    results = folder / "rope-middle-s1" / "results.json"
    results.write_bytes(results.read_bytes()[:100])
    sweep = read_sweep(folder)
    assert sweep.problems == [
        "rope-middle-s0: metrics.jsonl breaks off mid-line (1 unreadable), read up to step 40.",
        "rope-middle-s1 ended but has no figures: results.json is damaged.",
    ]
    assert sweep.by_seed("rope", sweep.metric).keys() == {0, 2, 3, 4}
    assert sweep.bands["rope"].num_runs == 4, "a curve leaves out what stopped short of the others' last step"


def test_a_run_of_other_settings_is_not_the_job(folder):
    change_json(folder / "rope-middle-s0" / "job.json", lambda entry: entry.update(fingerprint="00000000"))
    sweep = read_sweep(folder)
    assert sweep.problems == ["Not begun, 1 of 24 jobs: rope-middle-s0."]
    assert 0 not in sweep.by_seed("rope", sweep.metric)


def test_an_empty_folder_and_one_that_is_no_sweep(tmp_path):
    assert "does not exist" in refusal(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "is an empty folder" in refusal(tmp_path / "empty")
    (tmp_path / "empty" / "notes.txt").touch()
    assert "is no sweep's folder" in refusal(tmp_path / "empty")
    assert not is_sweep(tmp_path / "empty")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda it: it.pop("baseline"), "lacks baseline"),
        (lambda it: it.update(baseline="alibi"), "baseline=alibi is no variant"),
        (lambda it: it.update(variants={}), "names no variants"),
        (lambda it: it.update(seeds=[]), "names no seeds"),
        (lambda it: it["jobs"].append(it["jobs"][-1]), "are both nope with seed 4"),
        (lambda it: it["jobs"][0].update(variant="ghost"), "is of ghost, which is no variant"),
        (lambda it: it.update(metric="bits_per_byte.kr"), "the nearest is bits_per_byte.ko"),
        (lambda it: it.update(also=["bit_per_byte.en"]), "the nearest is bits_per_byte.en"),
        (lambda it: it.update(metric="measures.long_context.ko"), "choose one of its numbers"),
    ],
)
def test_a_description_that_cannot_be_used(folder, change, expected):
    change_json(folder / "sweep.json", change)
    assert expected in refusal(folder)


def test_a_damaged_description(folder):
    text = (folder / "sweep.json").read_text()
    (folder / "sweep.json").write_text(text[: len(text) // 2])
    assert "sweep.json is damaged" in refusal(folder)


def test_variants_of_the_same_settings_are_duplicates(folder):
    def copy_fingerprint(description):
        jobs = {job["run"]: job for job in description["jobs"]}
        jobs["nope-middle-s2"]["fingerprint"] = jobs["rope-middle-s2"]["fingerprint"]

    change_json(folder / "sweep.json", copy_fingerprint)
    assert "variants rope and nope" in refusal(folder)


CONDITIONS = {
    "tokenizer": lambda config: config["tokenizer"].update(vocab_size=4096),
    "corpus": lambda config: config["data"].update(held_out_fraction=0.05),
    "evaluation": lambda config: config["trainer"].update(sequence_length=512),
    "training budgets": lambda config: config["trainer"].update(budget_flops=5e11),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_what_cannot_be_compared_is_refused_with_both_values_and_both_runs(folder, name):
    change_config(folder / "nope-middle-s3", CONDITIONS[name])
    sentence = refusal(folder)
    assert sentence.startswith(f"{name} differ")
    assert "nope-middle-s3" in sentence
    assert "rope-" in sentence
    values = {
        "tokenizer": ("vocab_size=2048", "vocab_size=4096"),
        "corpus": ("held_out_fraction=0.02", "held_out_fraction=0.05"),
        "evaluation": ("sequence_length=256", "sequence_length=512"),
        "training budgets": ("6e+11", "5e+11"),
    }[name]
    assert all(value in sentence for value in values)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda it: it["evaluation"].update(max_bytes=100), "evaluation"),
        (lambda it: it["held_out"]["ko"].update(bytes=[10, 13]), "held-out set"),
    ],
)
def test_other_evaluations_are_refused(folder, change, name):
    change_json(folder / "hybrid-middle-s1" / "results.json", change)
    assert refusal(folder).startswith(f"{name} differs")


def test_the_speed_of_judging_is_no_difference(folder):
    change_json(
        folder / "hybrid-middle-s1" / "results.json",
        lambda results: results["evaluation"].update(batch_size=1),
    )
    assert read_sweep(folder).notes == ()


def test_mixtures_may_differ_as_the_held_out_text_does_not(folder):
    change_config(folder / "nope-middle-s3", lambda config: config["data"].update(mixture={"ko": 0.5}))
    assert read_sweep(folder).notes == ()


def test_a_variant_may_name_its_budget_and_the_reader_is_told(folder):
    change_json(folder / "sweep.json", lambda it: it["variants"].update(nope=["trainer.budget_flops=5e11"]))
    for seed in range(5):
        change_config(
            folder / f"nope-middle-s{seed}", lambda config: config["trainer"].update(budget_flops=5e11)
        )
    assert read_sweep(folder).notes == (
        "Variants name budgets of their own: they are not compared at equal training.",
    )


def test_flops_beyond_two_percent_are_named(folder):
    """The fabricated runs spend 0.9% less than their budget: whole steps, and no note."""
    change_json(
        folder / "nope-middle-s3" / "results.json", lambda results: results["training"].update(flops=6.3e11)
    )
    (note,) = read_sweep(folder).notes
    assert (
        note == "Not at the budget of 6.00 × 10¹¹ training FLOPs, with runs of whole steps: nope 5.0% more."
    )


def test_other_code_and_choices_at_the_edge_are_named(folder):
    environment = {"git": {"revision": "0123456789abcdef", "dirty": True}, "threads": 1}
    (folder / "nope-middle-s3" / "environment.json").write_text(json.dumps(environment))
    change_json(folder / "sweep.json", lambda it: it["chosen"].update(rope="high"))
    revisions, other, edge = read_sweep(folder).notes
    assert "2 code revisions" in revisions
    assert "0123456789 with changes of its own (1, first nope-middle-s3)" in revisions
    assert other == "rope was compared with option high, but its search is best with middle."
    assert edge == "rope chose high, the last of low, middle, high: a better one may lie beyond."


def test_a_sweep_as_a_data_frame(folder):
    table = frame(read_sweep(folder))
    assert len(table) == 24
    assert list(table.columns[:6]) == ["variant", "option", "phase", "seed", "state", "name"]
    compared = table[table["phase"] == "compare"]
    assert compared.groupby("variant")["results.bits_per_byte.ko"].count().to_dict() == {
        "rope": 5,
        "hybrid": 5,
        "nope": 5,
    }


def test_runs_know_their_place_in_a_sweep(folder):
    table = runs(folder)
    assert len(table) == 24
    row = table[table["name"] == "nope-high-s100"].iloc[0]
    assert (row["variant"], row["option"], row["phase"], row["seed"]) == ("nope", "high", "search", 100)
    assert "job.fingerprint" not in table
