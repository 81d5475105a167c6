"""Training documents as token numbers on disk: one memory-mapped shard a language, with document offsets."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.data.config import TokenizerConfig
from lab.data.document import Document
from lab.data.sources.fetch import Progress
from lab.data.storage import read_json_lines
from lab.data.texts import SPLITS
from lab.data.tokenizer import Tokenizer

FORMAT = 1
"""Raised whenever the same texts would give other tokens, so that old caches are not reused."""

ENCODED_AT_ONCE = 512


@dataclass(frozen=True)
class TokenShard:
    """All training documents of one language, each ``begin, tokens, end``, end to end.

    ``tokens`` [N] is mapped from disk; document i is ``tokens[offsets[i]:offsets[i + 1]]``.
    """

    tokens: NDArray[np.unsignedinteger[Any]]
    offsets: NDArray[np.int64]

    @classmethod
    def open(cls, folder: Path, language: str) -> "TokenShard":
        """The shard that :func:`write_tokens` wrote for ``language``."""
        return cls(
            np.load(folder / f"{language}.tokens.npy", mmap_mode="r", allow_pickle=False),
            np.load(folder / f"{language}.offsets.npy", allow_pickle=False),
        )

    @property
    def num_documents(self) -> int:
        return len(self.offsets) - 1

    def document(self, index: int) -> NDArray[np.unsignedinteger[Any]]:
        """The tokens of one document, begin and end included."""
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]


def read_documents(texts: Path, split: str, language: str) -> Iterator[Document]:
    """The documents of one split and language in a folder of texts."""
    for row in read_json_lines(texts / f"{split}.{language}.jsonl"):
        yield Document(**row)


def write_tokens(
    texts: Path, languages: tuple[str, ...], config: TokenizerConfig, folder: Path, progress: Progress
) -> dict[str, Any]:
    """Train the tokenizer on the training split; write it and the shards; return their manifest."""
    progress(f"training a tokenizer of {config.vocab_size} entries")
    training = (
        document.text for language in languages for document in read_documents(texts, "train", language)
    )
    tokenizer = Tokenizer.train(training, config.vocab_size)
    tokenizer.save(folder)
    amounts: dict[str, dict[str, int]] = {}
    for language in languages:
        progress(f"encoding {language}")
        encoded = {split: _encode(tokenizer, texts, split, language) for split in SPLITS}
        amounts[language] = {split: sum(map(len, documents)) for split, documents in encoded.items()}
        smallest = np.uint16 if tokenizer.vocab_size <= 2**16 else np.uint32
        offsets = np.cumsum([0] + [len(document) for document in encoded["train"]], dtype=np.int64)
        np.save(folder / f"{language}.offsets.npy", offsets, allow_pickle=False)
        np.save(
            folder / f"{language}.tokens.npy",
            np.concatenate([np.asarray(document, dtype=smallest) for document in encoded["train"]]),
            allow_pickle=False,
        )
    if tokenizer.vocab_size < config.vocab_size:
        progress(
            f"the corpus is small: {tokenizer.vocab_size} of {config.vocab_size} tokenizer entries are used"
        )
    return {"tokenizer": {"kind": config.kind, "vocab_size": tokenizer.vocab_size}, "tokens": amounts}


def _encode(tokenizer: Tokenizer, texts: Path, split: str, language: str) -> list[list[int]]:
    """Every document of a split as ``begin, tokens, end``."""
    documents = [document.text for document in read_documents(texts, split, language)]
    return [
        [tokenizer.begin_id, *ids, tokenizer.end_id]
        for start in range(0, len(documents), ENCODED_AT_ONCE)
        for ids in tokenizer.encode_batch(documents[start : start + ENCODED_AT_ONCE])
    ]
