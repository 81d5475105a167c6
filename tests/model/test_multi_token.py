"""Multi-token heads: against the equations token by token, document by document, step by step."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lab.config import compose
from lab.errors import ConfigError
from lab.face import build
from lab.model.cache import Caches
from lab.model.context import Context
from lab.model.decoder import Decoder
from lab.model.leaves.multi_token import HiddenFirstBlock, SharedBlock
from lab.model.multi_token import ahead
from lab.model.norm import GatedRMSNorm
from lab.model.residual import HyperConnectionJoin
from lab.model.size import size

SMALL = [
    "scale.layers=2",
    "scale.width=16",
    "scale.head_dim=8",
    "scale.dense_width=20",
    "scale.vocab_size=300",
]
HEADS = {"shared_block": SharedBlock, "hidden_first_block": HiddenFirstBlock}
PUBLISHED = {"k_exaone": 237_099_663_616 - 236_571_150_336, "motif_3": 251_151_876}


def make(head: str, num_steps: int) -> Decoder:
    """Grouped-query attention, rotary and SwiGLU, a window of three; every weight random, in float64."""
    config = compose(["model=llama", *SMALL])
    leaf = HEADS[head](head, num_steps=num_steps, window=3, loss_weight=0.3)
    model = build(replace(config, model=replace(config.model, multi_token=leaf))).double()
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    return model


def packed(seed: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Tokens, targets, documents, positions of two rows: documents of 4 + 1 + 5 and of 10 tokens.

    One target is masked; the last document of each row goes on behind the row's edge.
    """
    text = torch.randint(300, (2, 11), generator=torch.Generator().manual_seed(seed))
    documents = torch.tensor([[0] * 4 + [1] + [2] * 5, [0] * 10])
    positions = torch.tensor([[0, 1, 2, 3, 0, 0, 1, 2, 3, 4], list(range(10))])
    targets = text[:, 1:].clone()
    targets[0, 3] = targets[0, 4] = -100  # ends of documents
    targets[1, 6] = -100
    return text[:, :-1], targets, documents, positions


# The equations.


def norm(z: Tensor, weight: Tensor) -> Tensor:
    return weight * z / (z.square().mean(-1, keepdim=True) + 1e-5).sqrt()


def block_written_out(model: Decoder, u: Tensor) -> Tensor:
    """The plain pre-norm block for one document ``u [T, D]``, query by query, head by head."""
    block = model.multi_token.block
    mixer, unit, d = block.mixer, block.feed_forward, model.config.attention.head_dim
    heads = model.config.attention.num_heads
    per_key = heads // model.config.attention.num_kv_heads

    def head(weight: Tensor, index: int, x: Tensor, position: int | None) -> Tensor:
        z = weight[index * d : (index + 1) * d] @ x
        if position is None:
            return z
        turned = []
        for c in range(d // 2):
            angle = position * model.config.position.base ** (-2 * c / d)
            turned.append((z[c], z[c + d // 2], math.cos(angle), math.sin(angle)))
        first = [a * cos - b * sin for a, b, cos, sin in turned]
        return torch.stack(first + [b * cos + a * sin for a, b, cos, sin in turned])

    h = norm(u, block.mixer_join.norm.weight)
    attended = []
    for t in range(len(u)):
        seen = range(max(0, t - 2), t + 1)  # a window of three keys
        outputs = []
        for i in range(heads):
            q = head(mixer.query.weight, i, h[t], t)
            k = torch.stack([head(mixer.key.weight, i // per_key, h[s], s) for s in seen])
            v = torch.stack([head(mixer.value.weight, i // per_key, h[s], None) for s in seen])
            outputs.append(torch.softmax(k @ q / math.sqrt(d), dim=0) @ v)
        attended.append(mixer.output.weight @ torch.cat(outputs))
    x = u + torch.stack(attended)
    h = norm(x, block.feed_forward_join.norm.weight)
    gate = h @ unit.gate.weight.T
    return x + (gate / (1 + torch.exp(-gate)) * (h @ unit.up.weight.T)) @ unit.down.weight.T


def losses_written_out(
    model: Decoder, head: str, hidden: Tensor, tokens: Tensor, targets: Tensor
) -> list[list]:
    """Of one document alone: for each step the nats of every target that the document holds."""
    module = model.multi_token
    embedding = norm(model.embedding.weight, module.embedding_norm.weight)
    steps = []
    for k in range(1, module.num_steps + 1):
        rows = []
        for t in range(len(tokens)):
            token = tokens[t + k] if t + k < len(tokens) else 0  # beyond the end no target is left
            if head == "shared_block":
                rows.append(torch.cat([embedding[token], norm(hidden[t], module.hidden_norm.weight)]))
            else:
                rows.append(torch.cat([hidden[t], embedding[token]]))
        hidden = norm(block_written_out(model, torch.stack(rows) @ module.input.weight.T), module.norm.weight)
        nats = []
        for t in range(len(tokens) - k):
            if targets[t + k] != -100:
                logits = model.head.weight @ hidden[t]
                nats.append(torch.log(torch.exp(logits).sum()) - logits[targets[t + k]])
        steps.append(nats)
    return steps


@pytest.mark.parametrize("head", HEADS)
def test_the_loss_is_its_equation_document_by_document(head: str) -> None:
    """Three steps over packed rows, values and gradients, against every document on its own."""
    model = make(head, num_steps=3)
    tokens, targets, documents, positions = packed()
    fast = model.losses(tokens, targets, documents, positions).auxiliary["multi_token"]
    hidden = model(tokens, documents, positions).hidden
    nats: list[list[Tensor]] = [[], [], []]
    for row in range(2):
        for document in documents[row].unique():
            where = documents[row] == document
            parts = losses_written_out(
                model, head, hidden[row, where], tokens[row, where], targets[row, where]
            )
            for all_nats, more in zip(nats, parts, strict=True):
                all_nats.extend(more)
    assert [len(step) for step in nats] == [3 - 1 + 4 + 8, 1 + 3 + 7, 0 + 2 + 6]
    slow = 0.3 * sum(torch.stack(step).mean() for step in nats) / 3
    torch.testing.assert_close(fast, slow)
    parameters = dict(model.named_parameters())
    ours = torch.autograd.grad(fast, list(parameters.values()))
    theirs = torch.autograd.grad(slow, list(parameters.values()))
    for name, one, other in zip(parameters, ours, theirs, strict=True):
        torch.testing.assert_close(one, other, msg=lambda text, name=name: f"{name}: {text}")
        assert one.abs().max() > 0, name


# What it is made of.


@pytest.mark.parametrize("contender", sorted(PUBLISHED))
def test_published_sizes(contender: str) -> None:
    config = compose([f"model={contender}", "scale=published"]).model
    with torch.device("meta"):
        head = config.multi_token.build(config)
    assert sum(p.numel() for p in head.parameters()) == PUBLISHED[contender]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(
    "contender", ["llama", "ax_k1", "ax_k2", "k_exaone_2", "motif_2", "motif_3", "solar_open_2"]
)
def test_the_size_is_right_behind_any_trunk(contender: str, head: str) -> None:
    leaf = HEADS[head](head, num_steps=2, window=8)
    config = replace(compose([f"model={contender}"]).model, multi_token=leaf)
    with torch.device("meta"):
        model = Decoder(config)
    predicted = leaf.num_params(config.width, config.attention, config.feed_forward, config.norm)
    assert sum(p.numel() for p in model.multi_token.parameters()) == predicted
    assert sum(p.numel() for p in model.parameters()) == size(config, 256).parameters_total


def test_embedding_and_head_are_the_trunks() -> None:
    names = make("shared_block", 1).state_dict()
    assert [name for name, weight in names.items() if 300 in weight.shape] == [
        "embedding.weight",
        "head.weight",
    ]


def test_the_block_is_plain_whatever_the_trunk_is() -> None:
    with torch.device("meta"):
        streams = Decoder(compose(["model=motif_3"]).model).multi_token
        gated = Decoder(compose(["model=ax_k2", "model/multi_token=shared_block"]).model).multi_token
    assert not any(isinstance(module, HyperConnectionJoin) for module in streams.modules())
    assert not any(isinstance(module, GatedRMSNorm) for module in gated.modules())
    assert not any(hasattr(module, "router") for module in [*streams.modules(), *gated.modules()])
    assert streams.layer.window == 64
    assert streams.layer.rotation is not None
    assert streams.layer.rotation.factor == 1.0  # the local rotation, not the stretched one


# How it is used.


def test_other_documents_do_not_matter() -> None:
    model = make("shared_block", num_steps=2)
    tokens, targets, documents, positions = packed()
    changed, theirs = tokens.clone(), targets.clone()
    theirs[0, :5] = -100  # only the third document of row 0 and row 1 count
    changed[0, :5] = (tokens[0, :5] + 7) % 300
    before = model.losses(tokens, theirs, documents, positions).auxiliary["multi_token"]
    after = model.losses(changed, theirs, documents, positions).auxiliary["multi_token"]
    torch.testing.assert_close(before, after, rtol=0, atol=0)


def test_a_masked_target_of_a_document_that_goes_on_still_feeds_the_next_step() -> None:
    """Masking a target removes its own cross-entropies; the token itself stays an input."""
    model = make("shared_block", num_steps=2)
    tokens, targets, documents, positions = packed()
    other = tokens.clone()
    other[1, 7] = (tokens[1, 7] + 1) % 300  # the token behind the masked target at 6
    first = model.losses(tokens, targets, documents, positions).auxiliary["multi_token"]
    second = model.losses(other, targets, documents, positions).auxiliary["multi_token"]
    assert (first - second).abs() > 1e-6


def test_it_is_a_loss_of_training_only_and_leaves_the_main_loss_alone() -> None:
    model = make("shared_block", num_steps=1)
    batch = packed()
    training = model.losses(*batch)
    model.eval()
    judged = model.losses(*batch)
    assert set(training.auxiliary) == {"multi_token"}
    assert not judged.auxiliary
    torch.testing.assert_close(training.main, judged.main)
    torch.testing.assert_close(training.total(), training.main + training.auxiliary["multi_token"])


def test_rows_too_short_for_a_step_cost_nothing() -> None:
    model = make("shared_block", num_steps=3)
    tokens, targets, documents, positions = (x[:, :1] for x in packed())
    assert model.losses(tokens, targets, documents, positions).auxiliary["multi_token"] == 0.0


@pytest.mark.parametrize("head", HEADS)
def test_steps_with_a_cache_are_the_steps_of_training(head: str) -> None:
    """As in self-speculation: hidden states and the tokens that followed come in pieces."""
    model = make(head, num_steps=2)
    module = model.multi_token
    tokens = torch.randint(300, (2, 9), generator=torch.Generator().manual_seed(4))
    positions = torch.arange(9).expand(2, 9)
    hidden, embedded = model(tokens).hidden, model.embedding(ahead(tokens, 1, 0))
    full, _ = module.step(hidden, embedded, Context(positions, None))
    caches = Caches([(model.config.attention, module.layer.window)], 2, 9, tokens.device)
    pieces = []
    with torch.no_grad():
        for h, e, where in zip(
            hidden.split([4, 1, 1, 3], 1),
            embedded.split([4, 1, 1, 3], 1),
            positions.split([4, 1, 1, 3], 1),
            strict=True,
        ):
            caches.extend(where)
            pieces.append(module.step(h, e, Context(where, None, caches), caches.layers[0])[0])
    torch.testing.assert_close(torch.cat(pieces, dim=1), full, atol=1e-4, rtol=1e-4)


def test_ahead() -> None:
    x = torch.tensor([[1, 2, 3]])
    assert ahead(x, 1, -1).tolist() == [[2, 3, -1]]
    assert ahead(x, 5, -1).tolist() == [[-1, -1, -1]]


@pytest.mark.parametrize(("name", "value"), [("num_steps", 0), ("window", 0), ("loss_weight", -0.1)])
def test_bad_settings_are_named(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"model.multi_token.{name}={value}"):
        SharedBlock("shared_block", **({"num_steps": 1, "window": 1} | {name: value}))
