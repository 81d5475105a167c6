"""The pages of a sweep and of a folder of runs: complete, alone, in two languages, and nothing passed over."""

import base64
import re
import shutil
import string
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lab.errors import ConfigError
from lab.report.language import Text, say, translated
from lab.report.page_writer import page
from lab.report.runs_page import runs_report
from lab.report.specification import Continuations, Standings
from lab.report.sweep_page import sweep_report
from lab.report.sweep_table import sweep_table
from lab.report.sweeps import read_sweep
from lab.report.tables import to_csv
from lab.report.templates import PAGE

from .fabricated import write_json
from .fabricated_page import WRITTEN, fabricate_full_sweep
from .test_html import Page

ROOT = Path(__file__).resolve().parents[2]
HANGUL = re.compile("[가-힣]")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return read_sweep(fabricate_full_sweep(tmp_path_factory.mktemp("sweep")))


@pytest.fixture(scope="module")
def report(sweep):
    return sweep_report(sweep, "python -m experiments.train -m ablation=position")


@pytest.fixture(scope="module")
def both(report):
    return page(report, "both")


def test_the_page_stands_alone_and_is_well_formed(both):
    parsed = Page(both)
    assert all(address.startswith(("#", "data:")) for address in parsed.fetched)
    assert not re.search(r"https?://(?!www\.w3\.org/(2000/svg|1999/xlink))", both)
    assert len(parsed.ids) == len(set(parsed.ids))
    defined = set(re.findall(r"(--[A-Za-z0-9_-]+):", both))
    assert set(re.findall(r"var\((--[A-Za-z0-9_-]+)\)", both)) <= defined


def test_it_shows_everything_that_a_sweep_has(report, both):
    keys = [section.key for section in report.sections]
    assert keys == [
        "results", "figure-metric", "figure-curves", "figure-search", "measures-long_context-ko", "samples",
        "different", "layers", "parameters", "cost", "problems", "reproduce", "limits",
    ]  # fmt: skip
    for words in (
        "Does a model without positions on its global layers read longer texts?",
        "It does.",
        "python -m experiments.train -m ablation=position",
        "f1889810c5d2",
        "model/position=rope_nope",
        "nope-middle-s4 failed: The loss is not a number at step 23: set a lower optimizer.learning_rate.",
        "Not begun, 1 of 24 jobs: nope-middle-s3.",
        "22 / 24",
    ):
        assert words in both
    samples = next(section for section in report.sections if section.key == "samples")
    shown = [block for block in samples.blocks if isinstance(block, Continuations)]
    assert [block.prompt for block in shown] == [prompt for prompt, _ in WRITTEN.values()]
    assert "return &lt;open&gt;" in both


def test_the_download_is_the_whole_table(sweep, both):
    link = re.search(r'download="table.csv" href="data:text/csv;charset=utf-8;base64,([^"]+)', both)
    assert base64.b64decode(link[1]).decode() == to_csv(sweep_table(sweep))


def test_one_language_is_one_language_and_both_are_both(report, both):
    english, korean = page(report, "en"), page(report, "ko")
    for text in (english, korean):
        Page(text)
        assert "in-ko" not in text.split("</style>")[1]
        assert 'class="language"' not in text
    own_words = re.sub(r'<(div class="continuations"|pre)>.*?</\1>', "", english, flags=re.DOTALL)
    assert (
        HANGUL.findall(re.sub(r'<div class="continuations">.*?</dl>', "", own_words, flags=re.DOTALL)) == []
    )
    for section in report.sections:
        assert f"<h2>{section.title.en}</h2>" in english
        assert f"<h2>{section.title.ko}</h2>" in korean
        assert f'<span class="in-ko" lang="ko">{section.title.ko}</span>' in both
    assert '<tspan class="in-ko">학습 연산량(FLOPs)</tspan>' in both


def test_whatever_a_sweep_says_is_said_in_korean_too(sweep, report):
    notes = [
        note
        for section in report.sections
        for block in section.blocks
        if isinstance(block, Standings)
        for note in block.table.notes
    ]
    said = [*map(translated, (*notes, *sweep.problems, *sweep.notes)), *report.verdicts]
    assert len(said) > 8
    for text in said:
        assert HANGUL.search(text.ko), f"no Korean for: {text.en}"


def test_every_text_has_both_languages_and_the_same_gaps():
    texts = yaml.safe_load((PAGE / "texts.yaml").read_text(encoding="utf-8"))

    def gaps(text):
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    for key, entry in texts["page"].items():
        assert set(entry) == {"en", "ko"}, key
        assert gaps(entry["en"]) == gaps(entry["ko"]), key
    for entry in texts["phrases"]:
        assert gaps(entry["ko"]) <= gaps(entry["en"]), entry["en"]
    written = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "lab/report").glob("*.py"))
    unused = [
        key
        for key in texts["page"]
        if not any(f'"{name}"' in written for name in (key, key.removesuffix("_text")))
    ]
    assert unused == []


def test_texts_fill_their_gaps_in_each_language():
    assert say("not_done", name="a", state=translated("running")) == Text(
        "a is not finished (running).", "a: 끝나지 않았습니다 (실행 중)."
    )
    assert translated("only 3 of 5 seeds").ko == "시드 5개 중 3개만"
    assert translated("a name of its own") == Text("a name of its own", "a name of its own")


def test_a_sweep_that_has_only_begun_says_so(tmp_path):
    folder = fabricate_full_sweep(tmp_path / "sweep")
    for run in folder.iterdir():
        if run.is_dir():
            shutil.rmtree(run)
    report = sweep_report(read_sweep(folder))
    assert report.verdicts == [say("nothing_yet")]
    text = page(report, "both")
    Page(text)
    assert "Not begun, 24 of 24 jobs" in text


def test_runs_share_a_row_when_they_differ_in_the_seed_alone(finished_race):
    report = runs_report(finished_race)
    table = next(block for block in report.sections[0].blocks if isinstance(block, Standings)).table
    assert [row["run"].text for row in table.rows] == ["ax_k1", "k_exaone", "llama", "motif_2", "solar_open"]
    assert all(row["state"].text == "done" and row["run"].note == "seeds 0, 1" for row in table.rows)
    Page(page(report, "both"))


def test_runs_that_cannot_be_compared_never_share_a_table(make_race):
    folder = make_race(contenders=["k_exaone", "llama", "motif_2"], seeds=[0])
    config = yaml.safe_load((folder / "llama-s0" / "config.yaml").read_text())
    config["tokenizer"]["vocab_size"] = 300
    (folder / "llama-s0" / "config.yaml").write_text(yaml.safe_dump(config))
    error = {"state": "failed", "step": 1, "steps": 9, "error": "out of memory."}
    write_json(folder / "motif_2-s0" / "status.json", error)
    report = runs_report(folder)
    tables = [
        block.table for section in report.sections for block in section.blocks if isinstance(block, Standings)
    ]
    assert [[row["run"].text for row in table.rows] for table in tables] == [
        ["k_exaone", "motif_2"],
        ["llama"],
    ]
    text = page(report, "both")
    assert "Results (2 of 2)" in text
    assert "motif_2-s0 failed: out of memory." in text


def test_no_runs_no_report(tmp_path):
    with pytest.raises(ConfigError, match=r"^runs=.* holds no run: it must be"):
        runs_report(tmp_path)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "sweep and runs: give one of them"),
        (["sweep=x", "runs=y"], "sweep and runs: give one of them"),
        (["sweep=x", "language=fr"], "language=fr is unknown: it can be en, ko, both."),
        (["sweep=x", "wandb=on"], "wandb=on is unknown: it can be auto, off, only."),
        (["sweep=x", "output=x.pdf"], "output=x.pdf cannot be used: it must end in .html."),
    ],
)
def test_settings_that_cannot_be_used_are_told_in_a_sentence(words, told):
    from experiments.report import ReportSettings

    settings = {"sweep": None, "runs": None, "language": "both", "output": None, "wandb": "auto"}
    settings |= dict(word.split("=") for word in words)
    with pytest.raises(ConfigError, match=f"^{re.escape(told)}"):
        ReportSettings(**settings)


def test_the_command_writes_the_page_and_nothing_else(sweep, tmp_path):
    folder = shutil.copytree(sweep.folder, tmp_path / "sweep")
    before = {path.name for path in folder.iterdir()}
    command = [sys.executable, "-m", "experiments.report", f"sweep={folder}", "wandb=off"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"report: {(folder / 'report.html').resolve()}\n"
    assert {path.name for path in folder.iterdir()} - before == {"report.html"}
