import base64
import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest

from lab.errors import ConfigError
from lab.report.grids import corpus_grids
from lab.report.html import race_report
from lab.report.race import race_table, read_race
from lab.report.tables import to_csv

from .fabricated import CONTENDERS, YARDSTICKS, corpus_manifest, write_json

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Holds a page to nesting its elements, and gathers its ids and the cells of the race table."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.fetched, self.rows, self.row = [], [], [], {}, None
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        self.fetched += [
            attributes[name] for name in ("src", "href", "action", "data") if attributes.get(name)
        ]
        if tag == "tr":
            self.row = attributes.get("data-series")
        elif tag in ("td", "th") and self.row:
            self.rows.setdefault(self.row, []).append(attributes.get("data-value"))

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report(finished_race, tmp_path_factory):
    folder = shutil.copytree(finished_race, tmp_path_factory.mktemp("reported") / "race")
    path = race_report(folder)
    assert path == folder / "report.html"
    return path


def test_the_pages_numbers_are_those_of_the_results(report):
    page = Page(report.read_text(encoding="utf-8"))
    race = read_race(report.parent)
    assert list(page.rows)[: len(CONTENDERS)] == [standing.key for standing in race.standings]
    for contender in CONTENDERS:
        results = [
            json.loads((report.parent / f"{contender}-s{seed}" / "results.json").read_text())
            for seed in (0, 1)
        ]
        shown = [float(value) for value in page.rows[contender][1:]]
        for index, language in enumerate(("ko", "en", "code")):
            values = [run["bits_per_byte"][language] for run in results]
            assert shown[index] == pytest.approx(sum(values) / 2, abs=1e-12)
        assert results[0]["size"]["parameters_total"] in shown
        assert results[0]["training"]["tokens"] in shown
    text = report.read_text(encoding="utf-8")
    for bits in YARDSTICKS["five_gram"].values():
        assert f"<td>{bits:.3f}</td>" in text


def test_the_page_stands_alone(report):
    text = report.read_text(encoding="utf-8")
    page = Page(text)
    assert all(address.startswith(("#", "data:")) for address in page.fetched)
    assert not re.search(r"https?://(?!www\.w3\.org/(2000/svg|1999/xlink))", text)
    assert "@import" not in text
    assert "url(#" in text
    assert not re.search(r"url\((?!#)", text)
    assert len(page.ids) == len(set(page.ids))


def test_every_drawing_is_well_formed_and_every_variable_defined(report):
    text = report.read_text(encoding="utf-8")
    drawings = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert len(drawings) == 12
    for svg in drawings:
        ElementTree.fromstring(svg)
    defined = set(re.findall(r"(--[a-z0-9_-]+):", text))
    assert set(re.findall(r"var\((--[a-z0-9_-]+)\)", text)) <= defined


def test_the_page_speaks_korean_and_carries_its_evidence(report):
    text = report.read_text(encoding="utf-8")
    for words in (
        "언어별 바이트당 비트",
        "GPL-3.0-or-later",
        "f1889810c5d2",
        "make race",
        "learning_rate: 0.003",
    ):
        assert words in text
    link = re.search(r"data:text/csv;charset=utf-8;base64,([^\"]+)", text)
    assert base64.b64decode(link.group(1)).decode() == to_csv(race_table(read_race(report.parent)))


def test_the_corpus_is_shown_by_language_and_source_with_licences():
    amounts, sources = corpus_grids(corpus_manifest())
    assert amounts.rows[0] == ["Korean", "2,823", "2.75 MiB", "901k", "58", "57.4 KiB", "18.3k"]
    assert sources.header == [
        "source",
        "version",
        "licence",
        "Korean text",
        "English text",
        "Code text",
        "sha256",
    ]
    assert sources.rows[1][:3] == ["weblate", "2026.10.1", "GPL-3.0-or-later"]
    assert sources.rows[1][-2:] == ["", "fedcba987654"], "no code is kept of it"
    assert corpus_grids({}) == []
    (folder,) = corpus_grids({"sources": [{"source": "notes.txt", "extractor": "txt file"}]})
    assert folder.rows == [["notes.txt", "", "", ""]]


def test_reports_of_the_same_folder_are_the_same(report):
    before = report.read_bytes()
    race_report(report.parent)
    assert report.read_bytes() == before


def test_nothing_but_the_report_is_left_behind(report):
    assert {path.name for path in report.parent.iterdir() if path.is_file()} == {"race.json", "report.html"}


def test_a_race_that_has_only_begun_still_makes_a_page(make_race):
    folder = make_race(contenders=["k_exaone", "llama"], seeds=[0])
    shutil.rmtree(folder / "llama-s0")
    for name in ("results.json", "architecture.json", "environment.json"):
        (folder / "k_exaone-s0" / name).unlink()
    status = {"state": "failed", "step": 3, "steps": 9, "error": "<script>alert('x')</script>"}
    write_json(folder / "k_exaone-s0" / "status.json", status)
    write_json(folder / "race.json", {"contenders": ["k_exaone", "llama"], "seeds": [0]})
    text = race_report(folder).read_text(encoding="utf-8")
    Page(text)
    assert "No contender has been judged yet." in text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_no_race_no_report(tmp_path):
    with pytest.raises(ConfigError, match=r"race\.json"):
        race_report(tmp_path)
    assert not list(tmp_path.iterdir())
