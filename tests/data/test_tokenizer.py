"""The tokenizer loses nothing, adds nothing, and has seen the training split only."""

import random
from pathlib import Path

import pytest

from lab.data.config import TokenizerConfig
from lab.data.corpus import Corpus
from lab.data.storage import write_json_lines
from lab.data.tokenizer import Tokenizer
from lab.data.tokens import TokenShard, write_tokens


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "한글과 English, 12345.",
        "\tif x:\n\n\n        return '끝'\n",
        "🙂 ᄒ\u0000é",
        "<|begin|>x<|end|>",
    ],
)
def test_decoding_gives_the_text_back(corpus: Corpus, text: str) -> None:
    ids = corpus.tokenizer.encode(text)
    assert corpus.tokenizer.decode(ids) == text
    assert not {corpus.tokenizer.begin_id, corpus.tokenizer.end_id, corpus.tokenizer.pad_id} & set(ids)


def test_special_tokens_are_reserved(corpus: Corpus) -> None:
    tokenizer = corpus.tokenizer
    assert (tokenizer.pad_id, tokenizer.begin_id, tokenizer.end_id) == (0, 1, 2)
    assert tokenizer.decode([1, *tokenizer.encode("가 나"), 2]) == "가 나"


def test_digits_are_split_singly(corpus: Corpus) -> None:
    tokenizer = corpus.tokenizer
    assert [tokenizer.decode([one]) for one in tokenizer.encode("20261124")] == list("20261124")


def test_batches_are_encoded_as_single_texts_are(corpus: Corpus) -> None:
    texts = [document.text for document in corpus.held_out("ko")] + ["", "<|end|>"]
    assert corpus.tokenizer.encode_batch(texts) == [corpus.tokenizer.encode(text) for text in texts]


def test_merges_shorten_text(corpus: Corpus) -> None:
    text = corpus.held_out("ko")[0].text
    assert corpus.tokenizer.vocab_size == 400
    assert len(corpus.tokenizer.encode(text)) < 0.6 * len(text.encode())


def test_training_is_deterministic(tmp_path: Path) -> None:
    random_ = random.Random(0)
    texts = [" ".join(random_.choices(["가나", "나다", "다가", "ab", "ba", "abc"], k=50)) for _ in range(200)]
    files = []
    for attempt in ("first", "second"):
        (tmp_path / attempt).mkdir()
        Tokenizer.train(iter(texts), 300).save(tmp_path / attempt)
        files.append((tmp_path / attempt / "tokenizer.json").read_bytes())
    assert files[0] == files[1]


def test_only_the_training_split_is_learnt_from(tmp_path: Path) -> None:
    row = {"id": "d", "language": "ko", "source": "s", "group": "g"}
    write_json_lines(tmp_path / "train.ko.jsonl", iter([{**row, "text": "가나다 " * 9}]))
    write_json_lines(tmp_path / "held_out.ko.jsonl", iter([{**row, "text": "뷁뷁 " * 99}]))
    manifest = write_tokens(tmp_path, ("ko",), TokenizerConfig("byte_bpe", 300), tmp_path, lambda line: None)
    tokenizer = Tokenizer.load(tmp_path)
    assert len(tokenizer.encode("가나다")) < 9
    assert len(tokenizer.encode("뷁")) == len("뷁".encode())
    assert tokenizer.vocab_size == manifest["tokenizer"]["vocab_size"] < 300


def test_shards_hold_the_training_documents(corpus: Corpus) -> None:
    tokenizer = corpus.tokenizer
    for language in corpus.languages:
        shard = corpus.train_tokens(language)
        documents = corpus.train(language)
        assert shard.num_documents == len(documents)
        assert shard.tokens.dtype == "uint16"
        assert len(shard.tokens) == corpus.manifest["tokens"][language]["train"]
        for index in (0, len(documents) // 2, len(documents) - 1):
            ids = shard.document(index).tolist()
            assert ids == [tokenizer.begin_id, *tokenizer.encode(documents[index].text), tokenizer.end_id]


def test_shards_are_mapped_not_read(corpus: Corpus) -> None:
    assert TokenShard.open(corpus.directory, "ko").tokens.filename is not None  # type: ignore[attr-defined]
