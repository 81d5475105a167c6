"""Hyper-connected residual streams: against the equations token by token, and against a plain residual."""

import math

import pytest
import torch
from torch import Tensor

from lab.config import compose
from lab.errors import ConfigError
from lab.face import build
from lab.model.decoder import Decoder
from lab.model.initial import InitialSpread
from lab.model.leaves.norm import Rms
from lab.model.leaves.residual import HyperConnections
from lab.model.record import Record
from lab.model.residual import HyperConnectionJoin, close_streams, open_streams

WIDTH = 5
MOTIF_3_SITE = 409_627  # parameters of one site at 4 streams of 4,096 channels, without the branch's norm


def make(config: HyperConnections, width: int = WIDTH, scale: float = 1.0) -> HyperConnectionJoin:
    """A join in float64 with every parameter random."""
    join = HyperConnectionJoin(config, width, Rms("rms").build(width, "dense")).double()
    generator = torch.Generator().manual_seed(1)
    for parameter in join.parameters():
        torch.nn.init.normal_(parameter, std=scale, generator=generator)
    return join


def streams_of(batch: int, time: int, count: int) -> Tensor:
    return torch.randn(
        batch, time, count, WIDTH, dtype=torch.double, generator=torch.Generator().manual_seed(2)
    )


def branch(h: Tensor) -> tuple[Tensor, Record]:
    return torch.tanh(h) * 2, Record(losses={"seen": h.sum()})


def sigmoid(z: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-z))


def written_out(join: HyperConnectionJoin, x: Tensor) -> Tensor:
    """The report's equations for the streams ``x [S, D]`` of one token, coefficient by coefficient."""
    count, config = len(x), join.config
    flat = torch.cat(list(x))
    n = join.stream_norm.weight * flat / (flat.square().sum() / len(flat) + config.eps).sqrt()
    p = [row @ n for row in join.projection.weight]
    (a_pre, a_post, a_res), b = join.alpha, join.bias

    h_pre = [sigmoid((a_pre * p[i] + b[i]).clamp(-10, 10)) for i in range(count)]
    h_post = [
        config.post_scale * sigmoid((a_post * p[count + i] + b[count + i]).clamp(-10, 10))
        for i in range(count)
    ]
    matrix = [
        [
            torch.exp((a_res * p[2 * count + i * count + j] + b[2 * count + i * count + j]).clamp(-20, 20))
            for j in range(count)
        ]
        for i in range(count)
    ]
    for _ in range(config.sinkhorn_iterations):
        matrix = [[c / sum(row).clamp(min=1e-8) for c in row] for row in matrix]
        sums = [sum(row[j] for row in matrix).clamp(min=1e-8) for j in range(count)]
        matrix = [[row[j] / sums[j] for j in range(count)] for row in matrix]

    u = sum(h_pre[i] * x[i] for i in range(count))
    y, _ = branch(join.norm.weight * u / (u.square().mean() + join.norm.eps).sqrt())
    return torch.stack([sum(matrix[i][j] * x[j] for j in range(count)) + h_post[i] * y for i in range(count)])


@pytest.mark.parametrize(("streams", "post_scale", "scale"), [(4, 1.0, 0.7), (2, 2.0, 0.7), (3, 1.5, 5.0)])
def test_a_join_is_its_equations(streams: int, post_scale: float, scale: float) -> None:
    """Values and gradients; at the large scale many coefficients run into their clamps."""
    config = HyperConnections("hyper_connections", streams, sinkhorn_iterations=4, post_scale=post_scale)
    join = make(config, scale=scale)
    x = streams_of(2, 3, streams).requires_grad_()
    fast, _ = join(x, branch)
    slow = torch.stack([written_out(join, token) for row in x for token in row]).view_as(fast)
    torch.testing.assert_close(fast, slow)
    weight = torch.randn_like(fast)
    inputs = [x, *join.parameters()]
    for ours, theirs in zip(
        torch.autograd.grad((fast * weight).sum(), inputs),
        torch.autograd.grad((slow * weight).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def test_the_branch_is_recorded() -> None:
    _, record = make(HyperConnections("hyper_connections"))(streams_of(1, 2, 4), branch)
    assert list(record.losses) == ["seen"]


def test_mixing_is_doubly_stochastic_and_gates_are_bounded() -> None:
    join = make(HyperConnections("hyper_connections", post_scale=1.5), scale=0.7)
    h_pre, h_post, mixing = join.coefficients(streams_of(2, 8, 4))
    torch.testing.assert_close(mixing.sum(-2), torch.ones(2, 8, 4, dtype=torch.double))  # columns come last
    torch.testing.assert_close(mixing.sum(-1), torch.ones(2, 8, 4, dtype=torch.double), atol=1e-2, rtol=0)
    assert (mixing > 0).all()
    assert (h_pre > 0).all()
    assert (h_pre < 1).all()
    assert (h_post > 0).all()
    assert (h_post < 1.5).all()
    assert h_post.max() > 1


def test_gates_that_read_the_mean_and_write_once_are_a_plain_residual() -> None:
    """alpha = 0, H_res = I, h_pre = 1/S, h_post = 1: the mean of the streams is x + F(norm(x))."""
    join = make(HyperConnections("hyper_connections"))
    with torch.no_grad():
        join.alpha.zero_()
        join.bias[:4] = -math.log(3)
        join.bias[4:8] = 10
        join.bias[8:] = (torch.eye(4) * 40 - 20).flatten()
    x = streams_of(2, 3, 4)
    joined, _ = join(x, branch)
    mean = x.mean(2)
    plain = mean + branch(join.norm(mean))[0]
    torch.testing.assert_close(joined.mean(2), plain, atol=1e-3, rtol=0)  # sigmoid(10) is 1 - 5e-5
    torch.testing.assert_close(
        joined - x, branch(join.norm(mean))[0].unsqueeze(2).expand_as(x), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize(("post_scale", "written"), [(1.0, 0.95), (2.0, 1.0)])
def test_a_new_join_is_near_a_plain_residual_and_can_learn(post_scale: float, written: float) -> None:
    join = HyperConnectionJoin(
        HyperConnections("hyper_connections", post_scale=post_scale), 64, Rms("rms").build(64, "dense")
    )
    torch.nn.init.normal_(join.projection.weight, std=0.02)
    join.initialise(torch.Generator().manual_seed(0), InitialSpread(0.02, 1.0))
    h_pre, h_post, mixing = join.coefficients(torch.randn(2, 9, 4, 64))
    assert (h_pre - 0.25).abs().max() < 0.01
    assert (h_post - written).abs().max() < 0.02
    assert (mixing - torch.eye(4)).abs().max() < 0.06
    x = open_streams(torch.randn(2, 9, 64), 4)
    joined, _ = join(x, branch)
    assert (joined[:, :, 0] - joined[:, :, 1]).abs().max() > 1e-5  # streams part ways from the first step
    joined.square().sum().backward()
    assert all(parameter.grad.abs().max() > 1e-4 for parameter in join.parameters())


def test_streams_open_as_copies_and_close_as_their_mean() -> None:
    x = torch.randn(2, 3, 5)
    opened = open_streams(x, 4)
    assert opened.shape == (2, 3, 4, 5)
    torch.testing.assert_close(close_streams(opened + torch.arange(4.0).view(4, 1), 4), x + 1.5)
    assert open_streams(x, 1) is x
    assert close_streams(x, 1) is x


def test_a_site_of_motif_3_has_the_published_parameters() -> None:
    config, norm = HyperConnections("hyper_connections"), Rms("rms")
    with torch.device("meta"):
        join = config.build(4096, "experts", norm)
    assert sum(p.numel() for p in join.parameters()) == config.num_params(4096, "experts", norm)
    assert config.num_params(4096, "experts", norm) - 4096 == MOTIF_3_SITE


def test_streams_stay_in_their_type_and_mix_in_float32() -> None:
    join = make(HyperConnections("hyper_connections")).float()
    x = streams_of(1, 2, 4).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        joined, _ = join(x, lambda h: (torch.zeros_like(h), Record()))
        assert join.coefficients(x.float())[2].dtype == torch.float32
    exact, _ = join(x.float(), lambda h: (torch.zeros_like(h), Record()))
    assert joined.dtype == torch.bfloat16
    assert torch.equal(joined, exact.bfloat16())


@pytest.mark.parametrize("contender", ["motif_3", "llama"])
def test_any_contender_decodes_with_streams_as_it_reads(contender: str) -> None:
    overrides = [
        "model/residual=hyper_connections",
        "scale.layers=3",
        "scale.width=32",
        "scale.window=5",
        "scale.branch_init_scale=1",
    ]
    model = build(compose([f"model={contender}", *overrides])).eval()
    tokens = torch.randint(model.config.vocab_size, (2, 9), generator=torch.Generator().manual_seed(3))
    caches = model.new_caches(2, 9)
    with torch.no_grad():
        full = model(tokens).hidden
        parts = [model(piece, caches=caches).hidden for piece in tokens.split([4, 1, 1, 3], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), full, atol=1e-4, rtol=1e-4)


def test_one_stream_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model.residual.streams=1 .* at least 2"):
        compose(["model=motif_3", "model.residual.streams=1"])


def test_a_plain_model_has_no_streams() -> None:
    with torch.device("meta"):
        plain = Decoder(compose(["model=llama"]).model)
    assert not any(isinstance(module, HyperConnectionJoin) for module in plain.modules())
    assert plain(torch.zeros(1, 3, dtype=torch.long, device="meta")).hidden.shape == (
        1,
        3,
        plain.config.width,
    )
