"""From a file or a command line to jobs, and what of it is refused in one sentence."""

from pathlib import Path
from typing import Any

import pytest

from lab.config import compose, plain, size
from lab.errors import ConfigError
from lab.overrides import CONF
from lab.sweep import SearchConfig
from lab.sweep.command import sweep_of_ablation, sweep_of_command
from lab.sweep.jobs import merge
from tests.sweep.tiny import TINY, question, tiny_sweep

SAME = {"rope": [], "copy": ["model/position=rope"]}


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "ablation").glob("*.yaml")))
def test_every_ablation_composes_and_says_its_command(name: str) -> None:
    package, command = (CONF / "ablation" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[:2]
    assert package == "# @package _global_"
    assert f"python -m experiments.train -m ablation={name}" in command
    sweep = sweep_of_ablation(name, ["ablation.search=null"])  # an option a variant takes too long to compose
    jobs = sweep.compare_jobs(dict.fromkeys(sweep.ablation.variants))
    assert len({job.fingerprint for job in jobs}) == len(jobs)
    assert len(sweep.ablation.seeds) >= 5


def test_jobs_are_paired_by_seed_and_run_on_one_thread(tmp_path: Path) -> None:
    sweep = tiny_sweep(tmp_path, tmp_path, question())
    assert [job.run for job in sweep.search_jobs()] == [
        "rope-low-s100",
        "nope-low-s100",
        "rope-high-s100",
        "nope-high-s100",
    ]
    jobs = sweep.compare_jobs({"rope": "low", "nope": "high"})
    assert [job.run for job in jobs[:3]] == ["rope-low-s0", "nope-high-s0", "rope-low-s1"]
    assert {job.config.trainer.threads for job in jobs} == {1}
    assert jobs[1].config.seed == 0
    assert jobs[1].directory == tmp_path / "tiny" / "nope-high-s0"
    per_token = size(jobs[1].config).flops_per_token_training
    assert jobs[1].flops == 24 * 2 * 32 * per_token  # steps x rows x tokens


def test_a_job_composes_from_its_overrides_as_other_launchers_do(tmp_path: Path) -> None:
    job = tiny_sweep(tmp_path, tmp_path, question()).search_jobs()[1]
    assert plain(compose(job.overrides)) == plain(job.config)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"variants": {}}, ["ablation.variants", "one or more"]),
        ({"seeds": []}, ["ablation.seeds=[]", "one or more"]),
        ({"seeds": [1, 1]}, ["ablation.seeds=[1, 1]", "once"]),
        ({"baseline": "alibi"}, ["ablation.baseline=alibi", "rope, nope"]),
        ({"better": "bigger"}, ["ablation.better=bigger", "lower, higher"]),
        ({"metric": ""}, ["ablation.metric", "results.json"]),
        ({"variants": {"rope": [], "a/b": []}}, ["ablation.variants=a/b", "letters"]),
        (
            {"search": SearchConfig({"one": []}, seeds=[1])},
            ["ablation.search.seeds=[1]", "[1]", "ablation.seeds"],
        ),
        ({"variants": SAME}, ["ablation.variants.copy", "same", "ablation.variants.rope"]),
        (
            {"variants": {"rope": [], "odd": ["model/position=ropee"]}},
            ["ablation.variants.odd", "ropee", "rope"],
        ),
        ({"variants": {"rope": [], "odd": ["scale.wide=3"]}}, ["ablation.variants.odd", "scale.wide"]),
        (
            {"variants": {"rope": [], "odd": ["trainer.steps=-1"]}},
            ["ablation.variants.odd", "trainer.steps=-1"],
        ),
        (
            {"variants": {"rope": [], "odd": ["trainer.steps=null", "trainer.budget_flops=1"]}},
            ["ablation.variants.odd", "trainer.budget_flops=1", "one step"],
        ),
        (
            {"search": SearchConfig({"a": [], "b": ["model/position=rope"]}, seeds=[100])},
            ["ablation.variants.rope with option b", "same", "option a"],
        ),
        (
            {
                "variants": {"rope": [], "rope-b": ["model/position=none"]},
                "search": SearchConfig({"b": [], "b-b": ["trainer.steps=9"]}, seeds=[100]),
            },
            [
                "ablation.variants.rope-b with option b",
                "called rope-b-b",
                "ablation.variants.rope with option b-b",
            ],
        ),
    ],
)
def test_a_question_that_cannot_be_asked_is_one_sentence(
    changes: dict[str, Any], words: list[str], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as refused:
        tiny_sweep(tmp_path, tmp_path, question(**{"search": None} | changes))
    sentence = str(refused.value)
    assert [word for word in words if word not in sentence] == []
    assert "\n" not in sentence


def test_lists_of_values_are_variants_and_seeds(tmp_path: Path) -> None:
    shared = [*TINY, f"data.path={tmp_path}", f"output={tmp_path}"]
    lists = ["model/position=rope,none", "optimizer.learning_rate=1e-3,2e-3", "seed=0,3"]
    sweep = sweep_of_command([*shared, *lists])
    assert list(sweep.ablation.variants) == [
        "rope-learning_rate_0.001",
        "rope-learning_rate_0.002",
        "none-learning_rate_0.001",
        "none-learning_rate_0.002",
    ]
    assert sweep.ablation.baseline == "rope-learning_rate_0.001"
    assert sweep.ablation.seeds == [0, 3]
    assert sweep.name.startswith("sweep/")


def test_a_sweep_of_seeds_has_one_variant_and_a_name_made_of_its_settings(tmp_path: Path) -> None:
    shared = [*TINY, f"data.path={tmp_path}", f"output={tmp_path}", "seed=1,2"]
    sweep = sweep_of_command(shared)
    assert list(sweep.ablation.variants) == ["llama"]
    assert sweep_of_command(["seed=1,2", *shared[:-1]]).name == sweep.name
    assert sweep_of_command([*shared, "scale.dense_width=24"]).name != sweep.name
    assert sweep_of_command([*shared, "name=mine"]).name == "mine"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["seed=one,two"], ["seed=one,two", "whole number"]),
        (["seed=1,1"], ["seeds", "once"]),
        (["model=llama,llama"], ["llama", "different"]),
        (["trainer.steps=interval(1,5)"], ["trainer.steps=interval(1,5)", "list"]),
        (["ablation=polynorm", "seed=0,1"], ["seed=0,1", "ablation.seeds"]),
        (["ablation=polynorm,grouped_differential"], ["ablation=polynorm,grouped_differential"]),
    ],
)
def test_a_command_line_that_cannot_be_swept_is_one_sentence(overrides: list[str], words: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        sweep_of_command(overrides)
    assert [word for word in words if word not in str(refused.value)] == []


def test_the_last_override_of_a_key_counts() -> None:
    assert merge(["model=llama", "seed=1"], ["model=motif_2"], ["+x=1"]) == [
        "seed=1",
        "model=motif_2",
        "+x=1",
    ]
    with pytest.raises(ConfigError, match="cannot be read"):
        merge(["no override"])
