"""The small methods, each against what is known of it."""

import pytest
import torch
from scipy.stats import kstest

from lab.independence.norm_cosine import compare_vectors, predicted_cosine
from lab.independence.representation import cka
from lab.independence.roles import role_of, unit_part
from lab.independence.spectra import fingerprints
from lab.independence.statistics import holm
from lab.independence.testbed.kinds import CHILDREN
from lab.independence.testbed.models import as_weights, fresh
from lab.independence.unit_assignment import unit_assignment
from lab.independence.vocabulary import vocabulary_overlap


def test_holm() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})


def test_cosine_follows_from_two_variations() -> None:
    chance = torch.Generator().manual_seed(0)
    a, b = (1 + 0.3 * torch.randn(512, generator=chance, dtype=torch.float64) for _ in range(2))
    cosine, shuffled, predicted, pearson = compare_vectors(a, b, chance)
    assert cosine == pytest.approx(shuffled, abs=0.02) == pytest.approx(predicted, abs=0.02)
    variation = [(v.std(correction=0) / v.mean()).item() for v in (a, b)]
    assert predicted_cosine(*variation, pearson) == pytest.approx(cosine, abs=1e-9)


def test_unbiased_cka_of_unrelated_features_is_zero() -> None:
    chance = torch.Generator().manual_seed(0)
    x, y = torch.randn(64, 512, generator=chance), torch.randn(64, 512, generator=chance)
    centred = [features.double() - features.double().mean(dim=0) for features in (x, y)]
    usual = (centred[0].T @ centred[1]).norm() ** 2 / torch.stack([(c.T @ c).norm() for c in centred]).prod()
    assert usual > 0.8, "the usual estimate is near 1 for wide features of few texts, whatever they are"
    assert abs(cka(x, y)) < 0.1
    assert cka(x, x @ torch.linalg.qr(torch.randn(512, 512, generator=chance)).Q) == pytest.approx(1)


def test_spectra_see_through_permutation() -> None:
    state = fresh(0)
    child = CHILDREN["unit permutation"](state, 0)
    near = fingerprints(as_weights("a", state), child).spectral_distance
    far = fingerprints(as_weights("a", state), as_weights("b", fresh(1))).spectral_distance
    assert near is not None
    assert far is not None
    assert near < 1e-4 < far


def test_units_in_place() -> None:
    state = fresh(0)
    weights = as_weights("a", state)
    same = unit_assignment(weights, weights, 199, 0)
    permuted = unit_assignment(weights, CHILDREN["unit permutation"](state, 0), 199, 0)
    assert same is not None
    assert permuted is not None
    assert (same.correlation, same.p_value, same.layers) == (pytest.approx(1), 1 / 200, 2)
    assert permuted.p_value > 1 / 200


def test_places_of_unrelated_units_have_uniform_p_values() -> None:
    models = [as_weights(str(seed), fresh(seed)) for seed in range(40)]
    found = [unit_assignment(*pair, 199, 0) for pair in zip(models[::2], models[1::2], strict=True)]
    values = torch.tensor([result.p_value for result in found if result is not None])
    assert len(values) == 20
    assert kstest(values.numpy(), "uniform").pvalue > 0.01


def test_vocabularies() -> None:
    a, b = as_weights("a", fresh(0)), as_weights("b", fresh(0))
    a.vocabulary, b.vocabulary = {"x": 0, "y": 1, "z": 2}, {"x": 0, "y": 1, "w": 2, "z": 3}
    overlap = vocabulary_overlap(a, b)
    assert overlap is not None
    assert (overlap.common, overlap.same_number, overlap.longest_run) == (3, 2, 2)
    assert overlap.jaccard == 0.75


@pytest.mark.parametrize(
    ("name", "module", "writes", "part"),
    [
        ("blocks.0.feed_forward.gate.weight", "experts", False, "gate"),
        ("blocks.3.feed_forward.w_in", "experts", False, "gate and up"),
        ("blocks.3.feed_forward.w_out", "experts", True, "down"),
        ("blocks.3.feed_forward.router.weight", "router", False, None),
        ("model.layers.3.mlp.gate.weight", "router", False, None),
        ("model.layers.3.mlp.experts.17.down_proj.weight", "experts", True, "down"),
        ("model.layers.3.self_attn.o_proj.weight", "attention", True, None),
        ("model.layers.3.post_attention_layernorm.weight", "norms", False, None),
        ("model.visual.blocks.3.attn.proj.weight", "encoder", False, None),
        ("transformer.wte.weight", "embedding", False, None),
        ("shared.weight", "embedding", False, None),
        ("decoder.block.1.layer.0.SelfAttention.o.weight", "attention", False, None),
        ("decoder.block.1.layer.2.DenseReluDense.wi_0.weight", "experts", False, None),
        ("h.0.attn.c_proj.weight", "attention", True, "down"),
        ("layers.1.output.LayerNorm.weight", "norms", False, None),
        ("lm_head.weight", "embedding", False, None),
    ],
)
def test_roles(name: str, module: str, writes: bool, part: str | None) -> None:
    role = role_of(name)
    assert (role.module, role.writes) == (module, writes)
    assert unit_part(name) == part
