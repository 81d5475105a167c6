import itertools
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from lab.report import blueprints, plots
from lab.report.contenders import KNOWN, identities
from lab.report.curves import learning_curves, running_mean
from lab.report.formats import count, duration, flops, size_in_bytes
from lab.report.race import read_race
from lab.report.sheet import spread_apart

from .fabricated import CONTENDERS

FIGURES = {
    "languages": plots.language_figure,
    "loss": plots.loss_figure,
    "probes": plots.probe_figure,
    "cache": plots.cache_figure,
    "layers": blueprints.layer_figure,
    "parameters": blueprints.parameter_figure,
}
SVG = "{http://www.w3.org/2000/svg}"
PAPER = {"light": "#fcfbf8", "dark": "#161618"}


@pytest.fixture(scope="module")
def race(finished_race):
    return read_race(finished_race)


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_well_formed_and_take_everything_from_the_page(race, name):
    drawings = plots.draw(FIGURES[name], race, name, "what it shows & how")
    assert set(drawings) == {"wide", "narrow"}
    for svg in drawings.values():
        root = ElementTree.fromstring(svg)
        assert root.tag == f"{SVG}svg"
        assert root.get("aria-label") == "what it shows & how"
        assert not re.search(r"#[0-9a-f]{6}\b", svg), "every colour is a variable"
        assert "font-family" not in svg
        assert not re.search(r"https?://(?!www\.w3\.org/(2000/svg|1999/xlink))", svg)
        drawn = {element.get("data-series") for element in root.iter() if element.get("class") == "series"}
        assert drawn == set(CONTENDERS)
        ids = [element.get("id") for element in root.iter() if element.get("id")]
        assert len(ids) == len(set(ids))
        used = re.findall(r'(?:href="#|url\(#)([^")]+)', svg)
        assert set(used) <= set(ids)


def test_figures_write_the_numbers_of_the_results_in_full(race):
    svg = plots.draw(plots.language_figure, race, "languages", "")["wide"]
    texts = [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    for standing in race.standings:
        for language in ("ko", "en", "code"):
            assert f"{standing.bits_per_byte(language).mean:.3f}" in texts
    assert any("Bigram 2.870" in text for text in texts), "a yardstick beyond the edge is named there"


def test_layers_are_drawn_one_by_one(race):
    svg = plots.draw(blueprints.layer_figure, race, "layers", "")["wide"]
    assert svg.count("var(--mixer-local)") == 6 + 1, "six local layers and the legend's square"
    assert svg.count("var(--feed-forward-experts)") == 3 * 7 + 1
    assert svg.count(">64<") == 6, "their windows"


def test_without_architectures_there_are_no_layers_and_parameters_still_show(make_race):
    folder = make_race(contenders=["k_exaone"], seeds=[0])
    (folder / "k_exaone-s0" / "architecture.json").unlink()
    race = read_race(folder)
    assert plots.draw(blueprints.layer_figure, race, "layers", "") == {}
    assert "4.18M, 2.31M active" in plots.draw(blueprints.parameter_figure, race, "parameters", "")["wide"]


def test_learning_curves_average_the_seeds(race):
    for curve in learning_curves(race):
        assert curve.num_runs == 2
        assert (curve.low <= curve.mean).all()
        assert (curve.mean <= curve.high).all()
        assert curve.mean[0] > curve.mean[-1] + 2


def test_a_run_that_stopped_short_does_not_cut_the_curve(make_race):
    folder = make_race(contenders=["k_exaone"])
    path = folder / "k_exaone-s1" / "metrics.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:80]))
    (curve,) = learning_curves(read_race(folder))
    assert curve.num_runs == 1
    assert curve.flops[-1] == pytest.approx(3e13)


def test_loss_in_nats_becomes_bits(make_race):
    folder = make_race(contenders=["llama"], seeds=[0])
    (with_bits,) = learning_curves(read_race(folder))
    path = folder / "llama-s0" / "metrics.jsonl"
    path.write_text(path.read_text().replace("train/bits_per_token", "unused"))
    (from_nats,) = learning_curves(read_race(folder))
    np.testing.assert_allclose(from_nats.mean, with_bits.mean, rtol=1e-12)


def test_the_running_mean_is_the_mean_of_the_neighbours():
    values = np.random.default_rng(0).normal(size=20)
    slow = [values[i - min(i, 3) : i + min(i, 3, len(values) - 1 - i) + 1].mean() for i in range(len(values))]
    np.testing.assert_allclose(running_mean(values, 3), slow)
    np.testing.assert_allclose(running_mean(values, 0), values)


@pytest.mark.parametrize("seed", range(20))
def test_labels_are_spread_apart_in_order_and_no_farther_than_needed(seed):
    generator = np.random.default_rng(seed)
    wanted = generator.uniform(0, 100, size=6)
    placed = spread_apart(wanted, gap=10, low=0, high=100)
    order = np.argsort(wanted)
    assert (np.diff(placed[order]) >= 10 - 1e-9).all()
    assert placed.min() >= -1e-9
    assert placed.max() <= 100 + 1e-9
    far = np.arange(6) * 20.0
    np.testing.assert_allclose(spread_apart(far, 10, 0, 100), far)


def test_two_close_labels_share_the_push():
    np.testing.assert_allclose(spread_apart(np.array([50.0, 52.0]), 10, 0, 100), [46, 56])


@pytest.mark.parametrize("theme", PAPER)
def test_every_colour_can_be_read_on_its_paper(theme):
    for identity in KNOWN.values():
        assert contrast(getattr(identity, theme), PAPER[theme]) >= 4.5, "the least for text, by WCAG 1.4.3"


@pytest.mark.parametrize("theme", PAPER)
@pytest.mark.parametrize("vision", ["normal", "protanopia", "deuteranopia"])
def test_the_makers_colours_keep_apart_in_every_kind_of_sight(theme, vision):
    raced = ("k_exaone", "ax_k1", "solar_open", "motif_2", "llama")
    colours = {key: lab_colour(SIGHT[vision] @ linear_rgb(getattr(KNOWN[key], theme))) for key in raced}
    for one, other in itertools.combinations(raced, 2):
        distance = np.linalg.norm(colours[one] - colours[other])
        assert distance >= 15, f"{one} and {other} are {distance:.1f} apart"


def test_a_contender_keeps_its_colour_and_strangers_get_their_own():
    alone, together = identities(["ax_k1"]), identities(["mine", "ax_k1", "another"])
    assert alone["ax_k1"] is together["ax_k1"]
    assert together["mine"].light != together["another"].light
    assert together["mine"].light not in {identity.light for identity in KNOWN.values()}


def test_numbers_are_written_for_people():
    assert [count(x) for x in (7, 999.6, 12_345, 2.36e11, None)] == ["7", "1.00k", "12.3k", "236B", "–"]
    assert [size_in_bytes(x) for x in (512, 4096, 2**40)] == ["512 B", "4.00 KiB", "1.00 TiB"]
    assert [flops(x) for x in (3e13, 9.999e12, 0)] == ["3.00 × 10¹³", "1.00 × 10¹³", "–"]
    assert [duration(x) for x in (48, 200, 7500)] == ["48 s", "3 min 20 s", "2 h 05 min"]


# Dichromatic sight in linear RGB: Machado, Oliveira and Fernandes (2009), table of severity 1.0.
SIGHT = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear_rgb(colour: str) -> np.ndarray:
    encoded = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """WCAG contrast ratio of two colours."""
    bright, dim = sorted((float(TO_XYZ[1] @ linear_rgb(colour)) for colour in (one, other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def lab_colour(linear: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of a linear RGB colour, in which a distance of about 2.3 is just noticeable."""
    ratios = TO_XYZ @ np.clip(linear, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(ratios > 0.008856, np.cbrt(ratios), 7.787 * ratios + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])
