"""Cleaning and splitting: nothing met in training is met again in the held-out texts."""

import random
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from lab.data.config import LANGUAGES, FolderData, TokenizerConfig
from lab.data.corpus import Corpus, prepare
from lab.data.deduplicate import SIMILARITY, shingles, similarity
from lab.data.document import Document, Harvest, Pair, normalise
from lab.data.storage import read_json_lines
from lab.data.texts import clean, deduplicate, held_out_groups, write_texts
from lab.errors import ConfigError


def document(text: str, language: str = "ko", group: str = "g") -> Document:
    return Document(f"{group}/{language}", language, "test", text, group)


def test_the_same_texts_give_the_same_files(
    data: FolderData, tokenizer_config: TokenizerConfig, corpus: Corpus, tmp_path: Path
) -> None:
    again = prepare(data, tokenizer_config, tmp_path)
    assert again.manifest == corpus.manifest
    assert {"tokenizer.json", "ko.tokens.npy", "train.en.jsonl"} <= again.manifest["files"].keys()
    assert again.directory.name == corpus.directory.name


def test_no_document_or_near_duplicate_is_in_both_splits(corpus: Corpus) -> None:
    for language in LANGUAGES:
        train, held_out = corpus.train(language), corpus.held_out(language)
        assert len(held_out) == 3
        assert len(train) >= 24
        sets = [[shingles(one.text, 5) for one in split] for split in (train, held_out)]
        assert all(similarity(left, right) < SIMILARITY for left, right in product(*sets))


def test_near_duplicates_never_straddle_the_split() -> None:
    random_ = random.Random(0)
    documents = []
    for number in range(40):
        text = "".join(random_.choices("가나다라마바사아자차카타파하 ", k=300))
        documents += [document(text + "끝." * copy, group=f"{number}-{copy}") for copy in range(3)]
    kept = deduplicate(clean(documents))
    assert [one.group for one in kept] == [f"{number}-0" for number in range(40)]


def test_foreign_and_repeated_lines_go() -> None:
    shared = "이 문장은 두 문서에 모두 나오는 긴 문장입니다."
    texts = [
        f"{shared}\nonly English words here\n첫째 문서의 다른 문장입니다.",
        f"둘째 문서입니다. 짧습니다.\n{shared}\n또 다른 문장이 있습니다.",
    ]
    first, second = clean([document(text) for text in texts])
    assert first.text == f"{shared}\n첫째 문서의 다른 문장입니다."
    assert second.text == "둘째 문서입니다. 짧습니다.\n또 다른 문장이 있습니다."


def test_code_is_left_whole() -> None:
    source = "def function():\n" + "    return 'a long line that is repeated'\n" * 2 + "    pass"
    assert [one.text for one in clean([document(source, "code")])] == [source]


def test_text_is_composed_and_tidied() -> None:
    assert normalise("\ufeff한글\u200b \r\n\r\n\r\n\r\n둘\u00a0셋\x07  ") == "한글\n\n둘 셋"


def test_a_group_shares_its_split() -> None:
    documents = [document("x", language, f"g{number}") for number in range(200) for language in ("ko", "en")]
    data = FolderData(kind="folder", path="p", held_out_fraction=0.05)
    held_out = held_out_groups(documents, data)
    assert len(held_out) == 10
    assert held_out == held_out_groups(reversed(documents), data)
    other = FolderData(kind="folder", path="p", held_out_fraction=0.05, split_salt="other")
    assert held_out != held_out_groups(documents, other)


def test_a_single_document_cannot_be_split() -> None:
    documents = [document("x", "ko"), *(document("x", "en", f"g{number}") for number in range(30))]
    with pytest.raises(
        ConfigError, match=r"data.held_out_fraction=0.02 cannot be met: .* single ko document"
    ):
        held_out_groups(documents, FolderData(kind="folder", path="p"))


def test_a_split_that_leaves_nothing_to_train_on_is_refused() -> None:
    # Half of the English groups are held out, and with this salt both Korean ones are among them.
    documents = [document("x", "en", f"g{number}") for number in range(30)]
    documents += [document("x", "ko", f"g{number}") for number in range(2)]
    data = FolderData(kind="folder", path="p", held_out_fraction=0.5, split_salt="2")
    with pytest.raises(ConfigError, match=r"data.held_out_fraction=0.5 leaves no ko document to train on"):
        held_out_groups(documents, data)


def test_pairs_follow_their_documents(tmp_path: Path) -> None:
    class Twins:
        def identity(self) -> object:
            return "twins"

        def harvest(self, progress: Callable[[str], None]) -> Harvest:
            random_ = random.Random(1)
            harvest = Harvest()
            for number in range(40):
                ko = "".join(random_.choices("가나다라마바사아자차카타파하 ", k=60))
                en = "".join(random_.choices("abcdefghijklmnopqrstuvwxyz ", k=60))
                group = f"g{number}"
                harvest.documents += [document(ko, "ko", group), document(en, "en", group)]
                harvest.pairs.append(Pair("test", group, ko, en))
            return harvest

    data = FolderData(kind="folder", path="p", held_out_fraction=0.1)
    manifest = write_texts(Twins(), data, tmp_path, lambda line: None)
    groups = {row["group"] for row in read_json_lines(tmp_path / "held_out.ko.jsonl")}
    pairs = list(read_json_lines(tmp_path / "held_out.pairs.jsonl"))
    assert len(groups) == manifest["languages"]["ko"]["held_out"]["documents"] == 4
    assert {pair["group"] for pair in pairs} == groups
    assert len(list(read_json_lines(tmp_path / "train.pairs.jsonl"))) == 36
