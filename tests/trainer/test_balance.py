"""Selection biases against unequal loads."""

import torch

from lab.trainer.balance import load_statistics, update_selection_biases
from tests.trainer.stand_in import TinyModel


def test_a_bias_moves_by_the_rate_against_its_load() -> None:
    router = TinyModel(bias_update_rate=0.5).router
    update_selection_biases([router], [torch.tensor([6, 2, 4, 4])])
    assert router.selection_bias.tolist() == [-0.5, 0.5, 0.0, 0.0]


def test_a_rate_of_zero_leaves_the_bias_alone() -> None:
    router = TinyModel(bias_update_rate=0.0).router
    update_selection_biases([router], [torch.tensor([6, 2, 4, 4])])
    assert router.selection_bias.tolist() == [0.0] * 4


def test_a_router_that_loves_one_expert_is_brought_to_balance() -> None:
    router = TinyModel(bias_update_rate=0.01).router
    torch.manual_seed(0)
    with torch.no_grad():
        router.weight[0] += 0.3  # with inputs of mean 1 every token prefers the first expert
    x = 1 + 0.5 * torch.randn(16, 32, 16)

    def load() -> torch.Tensor:
        return torch.bincount(router(x)[0].flatten(), minlength=4)

    before = load_statistics([load()])["moe/max_over_mean"]
    for _ in range(200):
        update_selection_biases([router], [load()])
    after = load_statistics([load()])["moe/max_over_mean"]
    assert before > 3
    assert after < 1.3


def test_statistics_by_hand() -> None:
    statistics = load_statistics([torch.tensor([4, 4, 4, 4]), torch.tensor([0, 12, 0, 4])])
    assert statistics == {
        "moe/max_over_mean": 2.0,
        "moe/max_over_mean/0": 1.0,
        "moe/max_over_mean/1": 3.0,
        "moe/dead_experts": 2.0,
    }
    assert load_statistics([]) == {}
