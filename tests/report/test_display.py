"""What a notebook shows for our objects: the numbers that count, whole HTML, and nothing from a network."""

import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import lab
from lab.config import compose, size
from lab.report.display import config_html, headline, model_html, run_html, size_html, sweep_html
from lab.report.ipython import config_text, run_text, show_in, size_text
from lab.report.runs import read_run
from lab.report.sweeps import read_sweep
from lab.report.views import curve_html, digest_of, settings_html, ticks, written
from tests.report.fabricated import fabricate_run
from tests.report.fabricated_sweep import fabricate_sweep


class Outline(HTMLParser):
    """Checks that tags close in order, and keeps the text a reader sees."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """It closes itself."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += f" {data}"


def seen(html: str) -> str:
    """The text of an output that is whole and stands alone."""
    outline = Outline()
    outline.feed(html)
    assert not outline.open
    assert not re.search(r"https?://|<script|<link|@import|url\(", html)
    return re.sub(r"\s+", " ", outline.text)


def test_a_configuration_is_a_folded_table_a_group() -> None:
    config = compose(
        [
            "model=solar_open",
            "model/attention=grouped_differential",
            "trainer.steps=7",
            "trainer.budget_flops=null",
        ]
    )
    html = config_html(config)
    text = seen(html)
    assert "Solar Open" in text
    for group in ("model", "data", "tokenizer", "optimizer", "schedule", "trainer", "evaluation", "tracker"):
        assert f"<summary><b>{group}</b>" in html
    assert "attention grouped_differential" in text
    assert "steps 7" in text
    assert html.count("<details open>") == 1, "the model's mechanisms are in sight, the rest a click away"
    assert "kind: grouped_differential" in config_text(config)


def test_a_size_shows_its_parts_and_what_a_token_costs() -> None:
    record = size(compose(["model=k_exaone"]))
    for text in (seen(size_html(record)), size_text(record)):
        for count in (*record.parts.values(), record.parameters_total, record.parameters_active):
            assert not count or f"{count:,}" in text
        assert "cache per token" in text
    assert len(set(map(len, size_text(record).splitlines()))) == 1, "figures stand in line"


def test_a_model_shows_where_it_is_and_its_size() -> None:
    config = compose(["model=llama"])
    text = seen(model_html(lab.build(config)))
    assert "float32 on cpu" in text
    assert f"{size(config).parameters_total:,}" in text


def test_a_run_shows_how_it_stands(tmp_path: Path) -> None:
    folder = fabricate_run(tmp_path / "k_exaone-s3", "k_exaone", 3)
    run = read_run(folder)
    html = run_html(run)
    text = seen(html)
    assert "K-EXAONE seed 3, done" in text
    assert f"{run.results['bits_per_byte']['ko']:.3f}" in text
    assert f"{run.metrics['train/loss'].iloc[-1]:.3f}" in text
    assert html.count("<polyline") == 2
    assert dict(headline(run))["bits per byte, Korean"] in run_text(run)


def test_a_run_that_has_hardly_begun_or_failed_is_shown_too(tmp_path: Path) -> None:
    folder = fabricate_run(tmp_path / "llama-s0", "llama", 0)
    (folder / "status.json").write_text(
        '{"state": "failed", "step": 3, "steps": 9, "error": "Loss <became> nan."}'
    )
    (folder / "results.json").unlink()
    (folder / "metrics.jsonl").write_text('{"step": 1, "tokens": 8, "train/loss": NaN}\n{"step": 2, "tok')
    text = seen(run_html(read_run(folder)))
    assert "failed, 3 of 9 steps" in text
    assert "Loss <became> nan." in text
    empty = tmp_path / "nothing-s1"
    empty.mkdir()
    assert "unknown" in seen(run_html(read_run(empty)))


def test_a_sweep_shows_its_table_and_what_may_be_said(tmp_path: Path) -> None:
    sweep = read_sweep(fabricate_sweep(tmp_path / "sweep"))
    text = seen(sweep_html(sweep))
    for word in (sweep.question, *sweep.variants, "(baseline)", "after Holm", f"{len(sweep.jobs)} jobs"):
        assert word in text
    for run in (tmp_path / "sweep").glob("*-s*"):
        shutil.rmtree(run)
    assert "no finished run to compare" in seen(sweep_html(read_sweep(tmp_path / "sweep")))


def test_ipython_shows_them_and_nothing_else_changes(tmp_path: Path) -> None:
    shell_module = pytest.importorskip("IPython.core.interactiveshell")
    shell = shell_module.InteractiveShell()
    show_in(shell)
    config = compose(["model=llama"])
    run = read_run(fabricate_run(tmp_path / "llama-s0", "llama", 0))
    sweep = read_sweep(fabricate_sweep(tmp_path / "sweep"))
    for thing in (config, size(config), lab.build(config), run, sweep):
        bundle, _ = shell.display_formatter.format(thing)
        assert 'class="lab-view"' in bundle["text/html"], type(thing)
        assert bundle["text/plain"]
    bundle, _ = shell.display_formatter.format({"a": 1})
    assert set(bundle) == {"text/plain"}


def test_the_face_teaches_a_running_ipython(monkeypatch: pytest.MonkeyPatch) -> None:
    taught: list[object] = []
    monkeypatch.setattr("lab.report.ipython.show_in", taught.append)
    monkeypatch.setitem(sys.modules, "IPython", type(sys)("IPython"))
    sys.modules["IPython"].get_ipython = lambda: None  # type: ignore[attr-defined]
    _ = lab.compose
    assert not taught, "imported, but not running"
    sys.modules["IPython"].get_ipython = lambda: "shell"  # type: ignore[attr-defined]
    _ = lab.compose
    assert taught == ["shell"]


def test_a_curve_leaves_out_what_is_no_number() -> None:
    assert curve_html([1], [2], "x", "y") == ""
    assert curve_html([1, 2], [float("nan"), 3], "x", "y") == ""
    html = curve_html([1, 2, 3], [3, float("inf"), 1], "x", "loss <", end=10)
    assert "nan" not in html
    assert "inf" not in html
    assert "loss &lt;" in html
    assert html.count("<polyline") == 2
    flat = curve_html([0, 0], [1, 1], "x", "y")
    assert "nan" not in flat


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0, 100, 5) == [0, 20, 40, 60, 80, 100]
    assert ticks(2.1, 7.9, 4) == [4, 6]
    for low, high in ((0.001, 0.0042), (-3, 3), (1e6, 1.7e7)):
        found = ticks(low, high, 4)
        assert 2 <= len(found) <= 5
        assert low <= found[0] < found[-1] <= high


def test_settings_are_written_as_in_yaml() -> None:
    assert [written(value) for value in (True, None, 1e-3, 20_000, [1, "a"], "x")] == [
        "true",
        "null",
        "0.001",
        "20,000",
        "[1, a]",
        "x",
    ]
    assert digest_of({"kind": "latent", "rank": 3}) == "latent"
    assert digest_of({"lead": "", "count": 4, "windows": {}}) == "count=4"
    assert "&lt;b&gt;" in settings_html({"prompt": "<b>"})
