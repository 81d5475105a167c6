"""The plan keeps its word about steps, FLOPs and memory."""

from types import SimpleNamespace

import pytest
import torch

from lab.errors import ConfigError
from lab.trainer.config import TrainerConfig
from lab.trainer.device import measure_matmul_flops, peak_flops
from lab.trainer.optimizer import build_optimizer
from lab.trainer.plan import duration, in_bytes, make_plan
from tests.trainer.stand_in import MUON, TinyModel, tiny_plan, trainer_config


def plan(**budget: float) -> object:
    return tiny_plan(TrainerConfig(12, 4, gradient_accumulation=2, **budget))


def test_a_budget_buys_whole_steps_and_is_never_exceeded() -> None:
    step = 96 * 30_000.0
    for budget, steps in ((step, 1), (2.99 * step, 2), (100 * step, 100)):
        bought = plan(budget_flops=budget)
        assert bought.steps == steps
        assert bought.flops == steps * step <= budget
    assert plan(budget_tokens=1000).steps == 10
    assert plan(budget_tokens=1000).tokens == 960
    assert plan(steps=7).steps == 7


def test_a_budget_below_one_step_names_the_price() -> None:
    with pytest.raises(ConfigError, match=r"trainer.budget_flops=1000 does not pay .* at least 2.88e\+06"):
        plan(budget_flops=1000.0)
    with pytest.raises(ConfigError, match=r"trainer.budget_tokens=95 .* at least 96"):
        plan(budget_tokens=95)


def test_memory_is_weights_gradients_and_optimiser_state() -> None:
    model = TinyModel()
    count = sum(p.numel() for p in model.parameters())
    size = SimpleNamespace(parameters_total=count, parameters_active=count, flops_per_token_training=1.0)
    optimizer = build_optimizer(model, MUON)
    made = make_plan(trainer_config(), size, optimizer.state_bytes(), torch.device("cpu"), {})
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step(1.0)
    tensors = list(model.parameters()) + [p.grad for p in model.parameters()]
    tensors += [t for name, t in optimizer.state_tensors().items() if not name.endswith("/step")]
    assert made.memory_bytes == sum(t.numel() * t.element_size() for t in tensors)


def test_the_text_has_what_a_reader_wants_before_the_first_step() -> None:
    text = plan(steps=7).text()
    for figure in (
        "5,000, 4,000 active",
        "4 rows x 12 tokens x 2 passes = 96 tokens a step",
        "672",
        "2.016e+07 = 672 tokens x 30,000",
        "float32",
        "attention: naive",
        "threads",
        "about",
    ):
        assert figure in text


def test_activations_that_are_made_again_are_told() -> None:
    told = "inputs of blocks, computed again in the backward pass"
    assert told in tiny_plan(trainer_config(activation_checkpointing=True)).text()
    assert told not in tiny_plan(trainer_config()).text()


def test_the_peak_of_a_card_is_the_dense_one() -> None:
    assert peak_flops("NVIDIA H100 80GB HBM3", "bfloat16") == 989e12
    assert peak_flops("NVIDIA A100-SXM4-40GB", "float32") == 19.5e12
    assert peak_flops("AMD EPYC 9R14", "float32") is None
    assert tiny_plan(trainer_config()).peak_flops is None


def test_measured_speed_is_that_of_this_machine() -> None:
    assert 1e8 < measure_matmul_flops(torch.device("cpu"), "float32", side=256) < 1e14


def test_words_for_sizes_and_times() -> None:
    assert [in_bytes(n) for n in (1, 1536, 5 * 2**20, 2**40)] == ["1 B", "1.5 KiB", "5 MiB", "1 TiB"]
    assert [duration(s) for s in (5.4, 300, 7300)] == ["5 s", "5 min", "2 h 02 min"]
