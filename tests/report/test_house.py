"""The pictures and the small measurements that the notebooks of the four houses rest on."""

import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import lab
from lab.report.house import LAST_CONTEXT, draw_cache_growth, draw_layer_patterns
from lab.report.instruments import (
    cache_bytes_held,
    decoded_logits,
    effective_rank,
    indexer_shares,
    influence_of_first_token,
)


@pytest.fixture
def axis() -> Axes:
    return Figure(figsize=(9, 4)).add_subplot()


def test_every_layer_is_drawn(axis: Axes) -> None:
    models = {name: lab.compose([f"model={name}"]).model for name in ("k_exaone_2", "solar_open_2")}
    draw_layer_patterns(axis, models)
    assert len(axis.patches) == sum(model.layers.count for model in models.values())
    assert [label.get_text() for label in axis.get_yticklabels()] == ["K-EXAONE 2.0", "Solar Open 2"]
    dots = [line for line in axis.lines if line.get_marker() == "."]
    assert len(dots) == 3, "three local layers of K-EXAONE 2.0 have a position signal"


def test_cache_lines_end_where_the_arithmetic_ends(axis: Axes) -> None:
    caches = {name: lab.compose([f"model={name}"]).model.cache() for name in ("k_exaone", "ax_k1", "llama")}
    draw_cache_growth(axis, caches, house=["ax_k1"])
    ends = [line.get_ydata()[-1] for line in axis.lines]
    assert ends == pytest.approx([cache.at(LAST_CONTEXT) for cache in caches.values()])
    widths = [line.get_linewidth() for line in axis.lines]
    assert widths[1] > max(widths[0], widths[2])
    heights = sorted(note.get_position()[1] + note.xy[1] for note in axis.texts)
    assert len(set(heights)) == len(caches)


@pytest.mark.parametrize("name", ["k_exaone", "ax_k2", "solar_open_2", "motif_3"])
def test_caches_hold_what_was_predicted(name: str) -> None:
    config = lab.compose([f"model={name}"])
    model = lab.build(config).bfloat16().eval()
    caches = model.new_caches(1, 192)
    with torch.no_grad():
        model(torch.arange(192)[None], caches=caches)
    assert cache_bytes_held(caches) == config.model.cache().at(192)


def test_decoding_gives_what_reading_at_once_gives() -> None:
    model = lab.build(lab.compose(["model=ax_k1"])).eval()
    tokens = torch.arange(40)[None]
    decoded, caches = decoded_logits(model, tokens, prompt=30)
    with torch.no_grad():
        torch.testing.assert_close(decoded, model.logits(tokens)[:, 30:], atol=1e-4, rtol=0)
    assert caches.length == 40


def test_influence_ends_with_the_windows() -> None:
    config = lab.compose(
        ["model=llama", "model.layers.pattern=L", "model.layers.count=2", "model.layers.window=8"]
    )
    influence = influence_of_first_token(lab.build(config).double().eval(), torch.arange(40)[None])
    assert int(influence.nonzero().max()) == 2 * (8 - 1)


def test_no_choice_of_keys_beats_attentions_own() -> None:
    layer = lab.build(lab.compose(["model=ax_k2"])).blocks[0].mixer
    x = torch.randn(2, 64, 128, generator=torch.Generator().manual_seed(0))
    shares = indexer_shares(layer, x, top_k=8)
    assert 0 < shares.random < shares.best < 1
    assert shares.chosen < shares.best
    assert indexer_shares(layer, x, top_k=63).best == pytest.approx(1, abs=0.05)


def test_effective_rank() -> None:
    assert effective_rank(torch.eye(5)) == pytest.approx(5)
    assert effective_rank(torch.ones(5, 3)) == pytest.approx(1)
