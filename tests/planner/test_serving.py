"""Serving: cache and weights against published shapes, decoding FLOPs by hand, and how cost must move."""

import pytest

from experiments.calibrate import published_model
from lab.model.size import size
from lab.planner.facts import device
from lab.planner.interval import certain
from lab.planner.quantity import BYTE, DEVICE_HOUR, FLOP, GIB, PER_SECOND, SECOND, WON
from lab.planner.serving import (
    Service,
    cache_bytes,
    cache_bytes_read,
    decode_flops,
    prefill_flops,
    serve,
    weight_bytes,
    weight_bytes_read,
)

NINE = [
    "k_exaone",
    "k_exaone_2",
    "ax_k1",
    "ax_k2",
    "solar_open",
    "solar_open_2",
    "motif_2_6b",
    "motif_2",
    "motif_3",
]
PRICE = certain(6000 * WON / DEVICE_HOUR)


@pytest.fixture(scope="module")
def models():
    return {name: published_model(name) for name in NINE}


@pytest.mark.parametrize(
    ("name", "growing", "fixed_mib"),
    [
        ("ax_k1", 70_272, 0),
        ("solar_open", 196_608, 0),
        ("solar_open_2", 49_152, 149),
        ("k_exaone", 49_152, 18),
        ("k_exaone_2", 81_920, 44.5),
        ("motif_2_6b", 262_144, 0),
        ("motif_2", 327_680, 0),
        ("motif_3", 16_128, 5.5),
    ],
)
def test_published_cache(models, name, growing, fixed_mib):
    """Bytes per token and the constant part, as the reports' shapes give them."""
    long, longer = cache_bytes(models[name], 10_000).to(BYTE), cache_bytes(models[name], 20_000).to(BYTE)
    assert longer - long == 10_000 * growing
    assert (long - 10_000 * growing) / 2**20 == pytest.approx(fixed_mib, rel=0.01, abs=0.01)


def test_a_window_keeps_no_more_than_there_is(models):
    model = models["k_exaone"]
    assert cache_bytes(model, 64).to(BYTE) == 64 * 48 * 2 * 8 * 128 * 2


def test_sparse_attention_reads_what_it_picks(models):
    model, context = models["ax_k2"], 131_072
    layers, keys = model.layers.count, model.attention.index_dim * 2
    latents = (512 + 64) * 2 * model.attention.index_top_k
    assert cache_bytes_read(model, context).to(BYTE) == layers * (context * keys + latents)
    assert cache_bytes_read(models["ax_k1"], context) == cache_bytes(models["ax_k1"], context)


def test_decoding_flops_by_hand(models):
    """Llama's 2 N for the matrices, and 4 H d a key and layer."""
    llama = published_model("llama")
    matrices = 2 * (8_030_261_248 - 128_256 * 4096 - 65 * 4096)
    keys = 32 * 1000 * 4 * 32 * 128
    assert decode_flops(llama, 1000).to(FLOP) == pytest.approx(matrices + keys, rel=1e-3)


def test_absorbed_latents_cost_more_flops_than_expanded_ones(models):
    ax = models["ax_k1"]
    grown = decode_flops(ax, 2000) - decode_flops(ax, 1000)
    assert grown.to(FLOP) == pytest.approx(1000 * 61 * 2 * 64 * (2 * 512 + 64))


def test_prefill_leaves_the_head_out(models):
    model = models["solar_open"]
    head = 2 * model.vocab_size * model.width
    assert prefill_flops(model, 4096).to(FLOP) == size(model, 4096).flops_per_token_forward - head


def test_few_tokens_visit_few_experts(models):
    model = models["motif_3"]
    one, many = (weight_bytes_read(model, "bf16", batch).to(BYTE) for batch in (1, 4096))
    active = size(model, 1).parameters_active - size(model, 1).parts["multi_token"]
    embedding = model.vocab_size * model.width
    assert one == pytest.approx(2 * (active - embedding), rel=0.01)
    assert many == pytest.approx(weight_bytes(model, "bf16").to(BYTE) - 2 * embedding, rel=1e-6)


def test_every_contender_can_be_served_at_every_length(models):
    for model in models.values():
        costs = [serve(model, device("b200"), Service(context)) for context in (8192, 131_072, 1_048_576)]
        assert all(costs)
        written = [cost.per_million(PRICE)[1].central.to(WON) for cost in costs]
        assert written == sorted(written), "a longer context never costs less"
        for cost in costs:
            assert cost.stream.central >= 20 * PER_SECOND
            assert cost.decode.largest(), "what a range is made of is named"
            full = cost.weights + cost.batch * cost.cache_per_sequence
            assert full <= 0.9 * cost.devices * device("b200").memory


def test_latents_are_cheaper_to_serve_than_keys(models):
    """Motif 3 beside Motif 2: a larger model, and cheaper tokens at 128k."""
    costs = {name: serve(models[name], device("b200"), Service(131_072)) for name in ("motif_2", "motif_3")}
    assert costs["motif_3"].decode.range.high < costs["motif_2"].decode.range.low


def test_a_reader_in_a_hurry_pays_more(models):
    slow, fast = (
        serve(models["k_exaone"], device("b200"), Service(8192, tokens_per_second=speed))
        for speed in (20, 100)
    )
    assert fast.decode.central > slow.decode.central
    assert fast.step.central < slow.step.central <= 0.05 * SECOND
    assert serve(models["k_exaone"], device("b200"), Service(8192, tokens_per_second=1e5)) is None


def test_units(models):
    assert weight_bytes(models["motif_2_6b"], "bf16").to(GIB) == pytest.approx(4.84, rel=0.01)
    with pytest.raises(TypeError):
        weight_bytes(models["motif_2_6b"], "bf16") + decode_flops(models["motif_2_6b"], 10)
