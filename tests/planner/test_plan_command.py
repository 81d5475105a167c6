"""The commands plan and serve_cost: what they print, how quickly, and how they refuse."""

import json
import os
import subprocess
import sys
import time

import pytest

from experiments.plan import show_plan
from experiments.serve_cost import show_costs
from lab.config import compose
from lab.errors import ConfigError
from lab.overrides import compose_container

CENTS = {"low", "central", "high"}


def plan(*overrides):
    show_plan(compose_container(overrides, "plan"), list(overrides))


def test_the_question_of_the_race_in_ten_seconds_of_one_core():
    words = ["cluster=b200_768", "deadline_days=150", "budget_krw=24e9", "format=json"]
    before = os.times()
    command = [sys.executable, "-m", "experiments.plan", *words]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    after = os.times()
    assert after.children_user + after.children_system - before.children_user - before.children_system < 10
    data = json.loads(answer.stdout)
    assert data["recommended"] == data["plans"][0]["model"]
    assert {row["model"] for row in data["plans"]} >= {"motif_3", "k_exaone", "ax_k1", "solar_open"}
    for row in data["plans"]:
        assert row["cost_won"]["central"] <= 24e9
        assert row["days"]["central"] <= 150
        assert set(row["cost_won"]) == CENTS
        assert row["cost_won"]["low"] < row["cost_won"]["central"] < row["cost_won"]["high"]
        assert row["contributors"]
        layout = row["layout"]
        assert layout["data"] * layout["tensor"] * layout["pipeline"] * layout["context"] == 768


def test_table_names_what_binds(capsys):
    plan("model=motif_3", "tokens=12.5e12", "budget_krw=24e9")
    printed = capsys.readouterr().out
    assert "Motif 3" in printed
    assert "Nothing binds: money is the tightest" in printed
    assert "Unsure mostly because of: all-in efficiency" in printed


def test_any_mechanism_can_be_planned(capsys):
    plan(
        "model=solar_open",
        "model/attention=grouped_differential",
        "tokens=1e12",
        "deadline_days=90",
        "format=json",
    )
    swapped = json.loads(capsys.readouterr().out)["plans"][0]
    plan("model=solar_open", "tokens=1e12", "deadline_days=90", "format=json")
    plain = json.loads(capsys.readouterr().out)["plans"][0]
    assert swapped["flops"] != plain["flops"]


def test_the_training_command_composes(capsys):
    plan("model=k_exaone", "tokens=1e12", "deadline_days=90", "format=train")
    command = capsys.readouterr().out.split()
    assert command[:3] == ["python", "-m", "experiments.train"]
    assert compose(command[3:]).trainer.budget_tokens == 10**12


def test_free_size(capsys):
    plan("total=30e9", "active=3e9", "tokens=2e12", "devices=64", "deadline_days=60", "format=markdown")
    printed = capsys.readouterr().out
    assert "plain 30B" in printed
    assert printed.startswith("| Model | Parameters | Tokens | Days |")


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["devices=0"], "devices=0 cannot be used"),
        (["budget_krw=-1e9"], "budget_krw=-1e[+]09 cannot be used: it must be above 0"),
        (["deadline_days=-3"], "deadline_days=-3 cannot be used"),
        (["start=2026-07-31", "deadline=2026-02-20"], "deadline=2026-02-20 is in the past"),
        (["deadline=soon"], "deadline=soon is not a day"),
        (["cluster.device=b201", "deadline_days=9"], "^cluster.device=b201 is unknown: it can be"),
        (["cluster=b200_76"], "did you mean b200_768"),
        (["format=xml"], "format=xml is unknown"),
        (["precision=int4", "deadline_days=9"], "precision=int4 is unknown"),
        (["precision=fp32", "deadline_days=9"], "precision=fp32 is unknown: it can be bf16, fp8, fp4"),
        (["train_optimizer=sgd", "deadline_days=9"], "train_optimizer=sgd is unknown"),
        (["active=1e9"], "active=1e[+]09 needs total"),
        (["model=motif_3", "total=1e9"], "total=1e[+]09 and a model cannot both be given"),
        (["deadline=2030-01-01", "deadline_days=9"], "deadline and deadline_days cannot both be given"),
        (["tokens=1e300"], "tokens=1e[+]300 cannot be used: it must be above 0 and at most 1e[+]18"),
        (["budget_krw=nan"], "budget_krw=nan cannot be used"),
        (["budget_usd=inf"], "budget_usd=inf cannot be used"),
        (
            ["model=motif_3", "budget_krw=1"],
            "out of reach: one step on 768 devices holds 25.2 million tokens",
        ),
        (["model=motif_3", "tokens=1e12", "batch_tokens=4096"], "cannot share a training of Motif 3"),
        (["target_loss=0.5"], "Nothing is feasible; nearest: target_loss=0.5 .* ask for more than that"),
        (["model=llama", "tokens=1e12", "figures=/proc/none"], "figures=/proc/none cannot be written"),
        (["model=motif_3"], "The plan has no end"),
        (["model=motif_3", "devices=8", "deadline_days=9"], "cannot hold Motif 3: memory binds"),
    ],
)
def test_one_sentence(overrides, sentence):
    with pytest.raises(ConfigError, match=sentence):
        plan(*overrides)


def test_a_typo_is_told_quickly():
    before = time.monotonic()
    command = [sys.executable, "-m", "experiments.plan", "cluster=b200_76"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert "Traceback" not in answer.stderr
    assert time.monotonic() - before < 30  # wall clock of a shared machine; the import itself is light


def serve(*overrides):
    show_costs(compose_container(overrides, "serve_cost"), list(overrides))


def test_serving_side_by_side(capsys):
    serve("format=json")
    data = json.loads(capsys.readouterr().out)
    assert len(data) == 9
    for by_context in data.values():
        assert list(by_context) == ["8192", "131072", "1048576"]
        assert all(set(cost["won_per_million_written"]) == CENTS for cost in by_context.values())
    serve("format=markdown", "contexts=[8192]", "contenders=[motif_3]")
    assert "Largest contributors: share of paid hours" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("device=b201", "device=b201 is unknown"),
        ("precision=fp32", "precision=fp32 is unknown"),
        ("contexts=[10000000000]", "contexts="),
        ("precision=int4", "precision=int4 is unknown"),
        ("contexts=[0]", "contexts="),
        ("tokens_per_second=0", "tokens_per_second=0"),
        ("format=xml", "format=xml is unknown"),
        ("device=mi300x", "no rent of a mi300x is published"),
    ],
)
def test_serving_one_sentence(override, sentence):
    with pytest.raises(ConfigError, match=sentence):
        serve(override, "contenders=[motif_2_6b]")
