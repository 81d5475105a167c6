"""The folder tier: every format is read, and what cannot be read is named in one sentence."""

import json
import random
import re
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from lab.data.config import FolderData, TokenizerConfig
from lab.data.corpus import corpus_directory, prepare
from lab.data.sources.folder import SECTION_CHARACTERS, FolderSource, sections
from lab.errors import ConfigError

from .conftest import code, english, korean, write_folder


def silent(line: str) -> None:
    """No progress."""


def folder(path: Path, **settings: object) -> FolderData:
    return FolderData(kind="folder", path=str(path), **settings)  # type: ignore[arg-type]


def refusal(data: FolderData, cache: Path) -> str:
    """The one sentence with which ``data`` is refused; nothing may be left in the cache."""
    with pytest.raises(ConfigError) as caught:
        prepare(data, TokenizerConfig("byte_bpe", 300), cache)
    left = (
        [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]
        if cache.is_dir()
        else []
    )
    assert not left
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


def test_every_format_becomes_documents_of_the_right_language(tmp_path: Path) -> None:
    random_ = random.Random(0)
    texts = {name: write(random_, 3) for name, write in (("ko", korean), ("en", english), ("code", code))}
    (tmp_path / "a.txt").write_text(texts["ko"], encoding="utf-8")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.md").write_bytes(b"\xef\xbb\xbf" + texts["en"].encode())
    (tmp_path / "c.py").write_text(texts["code"], encoding="utf-8")
    (tmp_path / "d.jsonl").write_text(
        "\n".join(json.dumps({"body": texts[name], "n": 1}) for name in ("en", "ko")) + "\n\n",
        encoding="utf-8",
    )
    parquet.write_table(pa.table({"body": [texts["ko"], None, texts["en"]]}), tmp_path / "e.parquet")
    (tmp_path / "ignored.csv").write_text("x")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "f.txt").write_text("x")

    documents = FolderSource(folder(tmp_path, text_field="body")).harvest(silent).documents
    assert [(one.source, one.language) for one in documents] == [
        ("a.txt", "ko"),
        ("c.py", "code"),
        ("d.jsonl", "en"),
        ("d.jsonl", "ko"),
        ("deep/b.md", "en"),
        ("e.parquet", "ko"),
        ("e.parquet", "en"),
    ]
    assert all(one.text == texts[one.language] for one in documents)
    assert len({one.group for one in documents}) == len(documents)


def test_a_book_is_cut_into_sections() -> None:
    book = "\n\n".join(korean(random.Random(number), 5) for number in range(200))
    pieces = list(sections(book))
    assert "\n\n".join(pieces) == book
    assert all(SECTION_CHARACTERS <= len(piece) < SECTION_CHARACTERS + 500 for piece in pieces[:-1])


def test_the_key_follows_contents_not_places(tmp_path: Path) -> None:
    tokenizer = TokenizerConfig("byte_bpe", 300)
    first = folder(write_folder(tmp_path / "first", 2))
    second = folder(write_folder(tmp_path / "second", 2))
    name = corpus_directory(first, tokenizer, tmp_path).name
    assert name == corpus_directory(second, tokenizer, tmp_path).name
    (tmp_path / "second" / "000.ko.txt").write_text("다른 글", encoding="utf-8")
    assert name != corpus_directory(second, tokenizer, tmp_path).name
    reweighed = folder(tmp_path / "first", mixture={"ko": 1.0})
    assert name == corpus_directory(reweighed, tokenizer, tmp_path).name


def test_a_missing_folder(tmp_path: Path) -> None:
    message = refusal(folder(tmp_path / "nowhere"), tmp_path / "cache")
    assert message == f"data.path={tmp_path / 'nowhere'} cannot be used: it must be an existing folder."


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "table.csv").write_text("x")
    message = refusal(folder(tmp_path / "texts"), tmp_path / "cache")
    assert re.fullmatch(
        r"data.path=\S+ holds no text: it needs \.txt, \.md, \.jsonl, \.parquet, \.py\.", message
    )


@pytest.mark.parametrize("name", ["bad.txt", "bad.py", "bad.jsonl"])
def test_a_file_that_is_not_utf8_is_named(tmp_path: Path, name: str) -> None:
    texts = write_folder(tmp_path / "texts", 3)
    (texts / name).write_bytes("한글".encode("cp949"))
    message = refusal(folder(texts), tmp_path / "cache")
    assert name in message
    assert "not UTF-8" in message


@pytest.mark.parametrize("line", ["{", '{"other": "x"}', '{"text": 5}', "[1]"])
def test_a_line_without_text_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.jsonl").write_text('{"text": "x"}\n' + line, encoding="utf-8")
    message = refusal(folder(tmp_path / "texts"), tmp_path / "cache")
    assert message.startswith("data.text_field=text is missing in line 2 of ")


def test_a_table_without_the_column(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    parquet.write_table(pa.table({"body": ["x"], "id": [1]}), tmp_path / "texts" / "a.parquet")
    assert "it has body, id." in refusal(folder(tmp_path / "texts"), tmp_path / "cache")
    (tmp_path / "texts" / "a.parquet").write_bytes(b"no table")
    assert "not a Parquet file" in refusal(folder(tmp_path / "texts"), tmp_path / "cache")
