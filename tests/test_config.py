"""Composition: every shipped configuration loads, and every kind of mistake is named in under three seconds."""

import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import lab
from experiments.evaluate import EvaluateSettings
from experiments.plan import PlanSettings
from lab.config import KINDS, compose, fingerprint, from_plain, plain, typed
from lab.errors import ConfigError
from lab.model.config import ModelConfig
from lab.overrides import CONF, compose_container

CONTENDERS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
SCALES = sorted(path.stem for path in (CONF / "scale").glob("*.yaml"))
LEAF_GROUPS = sorted(path.name for path in (CONF / "model").iterdir() if path.is_dir())
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("contender", CONTENDERS)
def test_every_contender_composes_at_every_scale(contender: str, scale: str) -> None:
    config = compose([f"model={contender}", f"scale={scale}"])
    assert config.model.name == contender
    assert len(config.model.plan()) == config.model.layers.count


@pytest.mark.parametrize(
    ("group", "option"),
    [
        (path.parent.relative_to(CONF).as_posix(), path.stem)
        for path in sorted(CONF.rglob("*.yaml"))
        if path.parent != CONF and path.parent.name not in ("model", "scale", "base", "data", "experiment")
    ],
)
def test_every_option_of_every_group_composes(group: str, option: str) -> None:
    needs_linear_layers = (group, option) == ("model/linear_attention", "kimi_delta")
    override = f"{group}={option}"
    if group in ("cluster", "budget"):
        own = [field.name for field in fields(PlanSettings)]
        typed(OmegaConf.masked_copy(compose_container([override], "plan"), own), PlanSettings)
    elif group == "evaluation" and option != "default":
        typed(compose_container([override, "catalogue=show"], "evaluate"), EvaluateSettings)
    else:
        compose([override, *(["model.layers.pattern=GD"] if needs_linear_layers else [])])


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes_and_says_its_command(experiment: str) -> None:
    package, command = (
        (CONF / "experiment" / f"{experiment}.yaml").read_text(encoding="utf-8").splitlines()[:2]
    )
    assert package == "# @package _global_"
    assert f"python -m experiments.train experiment={experiment}" in command
    compose([f"experiment={experiment}"])


def test_data_tiers_compose() -> None:
    assert compose(["data=folder", "data.path=some/where"]).data.kind == "folder"
    pinned = [f"data.sources.{language}.revision={'0' * 40}" for language in ("ko", "en")]
    assert compose(["data=hub", *pinned]).data.kind == "hub"
    with pytest.raises(ConfigError, match=r"data\.sources\.ko\.revision"):
        compose(["data=hub"])
    with pytest.raises(ConfigError, match=r"data\.path"):
        compose(["data=folder"])


def test_a_typed_configuration_survives_plain_data() -> None:
    config = compose(["model=k_exaone_2"])
    assert from_plain(plain(config)) == config
    assert isinstance(config.model, ModelConfig)


def test_kernels_are_part_of_what_a_run_is_unless_they_are_left_to_the_operators() -> None:
    config = compose()
    older = {key: value for key, value in plain(config).items() if key != "kernels"}
    assert from_plain(older) == config
    assert fingerprint(from_plain(older)) == fingerprint(compose(["kernels=auto"]))
    assert fingerprint(compose(["kernels=naive"])) != fingerprint(config)


def test_a_run_is_the_same_one_with_activation_checkpointing() -> None:
    config = compose()
    older = plain(config)
    del older["trainer"]["activation_checkpointing"]
    assert from_plain(older) == config
    assert fingerprint(compose(["trainer.activation_checkpointing=true"])) == fingerprint(config)


def test_one_override_moves_a_mechanism_into_another_contender() -> None:
    config = compose(["model=solar_open", "model/attention=grouped_differential"])
    assert config.model.attention.kind == "grouped_differential"
    assert config.model.router.kind == "sigmoid"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("trainer.step=3", ["trainer.step", "trainer.steps"]),
        ("+trainer.step=3", ["trainer.step", "trainer.steps"]),
        ("+model.attention.num_head=3", ["model.attention.num_head", "model.attention.num_heads"]),
        ("model.attention.num_head=3", ["model.attention.num_head", "model.attention.num_heads"]),
        ("trainer.batch_size=many", ["trainer.batch_size", "many", "whole number"]),
        ("trainer.clip_norm=true", ["trainer.clip_norm", "True", "number"]),
        ("seed=1.5", ["seed", "1.5", "whole number"]),
        ("model=k_exaon", ["k_exaon", "k_exaone"]),
        ("model/attention=latnt", ["latnt", "latent"]),
        ("modell=llama", ["modell", "model"]),
        ("model.attention=3", ["model.attention", "group of settings"]),
        ("model.attention.kind=mamba", ["model.attention.kind", "mamba", "latent"]),
        ("trainer.batch_size=", ["trainer.batch_size"]),
        ("model.attention.num_heads=3", ["model.attention.num_heads", "3", "num_kv_heads"]),
        ("model.layers.pattern=LXG", ["model.layers.pattern", "LXG", "local"]),
        ("model.layers.pattern=GD", ["model.layers.pattern", "linear_attention"]),
        ("model.layers.window=0", ["model.layers.window", "0", "at least 1"]),
        ("model.router.top_k=17", ["model.router.top_k", "17", "16"]),
        ("scale.head_dim=33", ["model.attention.head_dim", "33", "even"]),
        ("trainer.sequence_length=9999", ["trainer.sequence_length", "9999", "max_positions"]),
        ("kernels=fast", ["kernels", "fast", "auto, naive, native, compiled, triton"]),
        ("tokenizer.vocab_size=5000", ["tokenizer.vocab_size", "5000", "model.vocab_size"]),
    ],
)
def test_a_mistake_is_one_sentence_with_key_value_and_what_is_allowed(
    override: str, words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([override])
    message = str(caught.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


def test_a_typo_on_the_command_line_fails_fast_and_without_a_traceback() -> None:
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "experiments.train", "+trainer.stepz=3"],
        capture_output=True,
        text=True,
        cwd=CONF.parent,
        check=False,
    )
    assert time.perf_counter() - start < 3
    assert done.returncode == 2
    assert done.stderr.startswith("error: trainer.stepz is not a setting: did you mean trainer.steps?")
    assert "Traceback" not in done.stderr


def test_composing_does_not_load_torch() -> None:
    code = "import sys, lab; lab.size(lab.compose(['model=ax_k1'])); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=CONF.parent)


def test_composing_inside_another_hydra_leaves_it_as_it_was(tmp_path: Path) -> None:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    (tmp_path / "own.yaml").write_text("answer: 42\n")
    with initialize_config_dir(version_base="1.3", config_dir=str(tmp_path)):
        lab.compose(["model=llama"])
        assert hydra_compose("own").answer == 42


def test_every_kind_has_a_configuration_file() -> None:
    files = {path.stem for group in LEAF_GROUPS for path in (CONF / "model" / group).glob("*.yaml")}
    leaves = {
        kind for base, kinds in KINDS.items() if base.__module__.startswith("lab.model") for kind in kinds
    }
    assert leaves - files == set()
