"""What the data room can be asked for. Plain dataclasses: reading a configuration imports nothing heavy."""

import re
from dataclasses import dataclass, field

from lab.checks import require

LANGUAGES = ("ko", "en", "code")
"""The languages a corpus may hold: Korean prose, English prose, Python code."""

MAX_VOCAB_SIZE = 2**20


def _default_mixture() -> dict[str, float]:
    return {"ko": 0.5, "en": 0.25, "code": 0.25}


@dataclass
class DataConfig:
    """What a model is trained on: texts or a synthetic task. ``kind`` names the subclass."""

    kind: str


@dataclass
class TextData(DataConfig):
    """Where the text comes from and how it is shared out."""

    mixture: dict[str, float] = field(default_factory=_default_mixture)
    held_out_fraction: float = 0.02
    split_salt: str = "sovereign"

    def __post_init__(self) -> None:
        unknown = sorted(set(self.mixture) - set(LANGUAGES))
        require(not unknown, "data.mixture", self.mixture, f"its keys must be among {', '.join(LANGUAGES)}")
        weights = self.mixture.values()
        require(
            all(weight >= 0 for weight in weights) and sum(weights) > 0,
            "data.mixture",
            self.mixture,
            "weights must be at least 0 and one must be above it",
        )
        require(
            0 < self.held_out_fraction <= 0.5,
            "data.held_out_fraction",
            self.held_out_fraction,
            "it must be above 0 and at most 0.5",
        )

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages with a weight above zero, in the fixed order of :data:`LANGUAGES`."""
        return tuple(language for language in LANGUAGES if self.mixture.get(language, 0) > 0)


@dataclass
class PackagesData(TextData):
    """Text extracted from pinned wheels; see ``lab/data/sources/wheels.py`` for the list."""


@dataclass
class ExercisesData(TextData):
    """The text of packages, and exercises that make up ``share`` of its Korean and English training text.

    What is held out is what packages hold out; see :mod:`lab.data.exercises`.
    """

    share: float = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.share < 1, "data.share", self.share, "it must be above 0 and below 1")


@dataclass
class FolderData(TextData):
    """Every .txt, .md, .jsonl, .parquet and .py file below a local folder."""

    path: str = field(kw_only=True)
    text_field: str = "text"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(bool(self.path.strip()), "data.path", repr(self.path), "it must be a folder of text files")
        require(bool(self.text_field), "data.text_field", repr(self.text_field), "it must name a field")


@dataclass
class HubDataset:
    """One data set of the hub, pinned to a commit; at most ``max_documents`` are streamed from it."""

    dataset: str
    revision: str
    max_documents: int
    config: str | None = None
    split: str = "train"
    text_field: str = "text"

    def __post_init__(self) -> None:
        require(
            re.fullmatch(r"[0-9a-f]{40}", self.revision) is not None,
            "data.sources.*.revision",
            self.revision,
            "it must be a commit of the data set, 40 hexadecimal digits, so that a run can be repeated",
        )
        require(
            self.max_documents >= 2,
            "data.sources.*.max_documents",
            self.max_documents,
            "it must be at least 2",
        )


@dataclass
class HubData(TextData):
    """Documents streamed from the Hugging Face hub, one pinned data set a language."""

    sources: dict[str, HubDataset] = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = sorted(set(self.sources) - set(LANGUAGES))
        require(
            not unknown and bool(self.sources),
            "data.sources",
            list(self.sources),
            f"it needs one data set or more, keyed by {', '.join(LANGUAGES)}",
        )


@dataclass
class RecallData(DataConfig):
    """Multi-query associative recall, see :mod:`lab.data.recall`.

    A row has one of ``num_pairs`` numbers of pairs, of ``num_keys`` keys and as many values that there are.
    """

    num_pairs: list[int]
    num_keys: int

    def __post_init__(self) -> None:
        usable = bool(self.num_pairs) and 1 <= min(self.num_pairs) <= max(self.num_pairs) <= self.num_keys
        allowed = f"it must be one number or more, all different, from 1 to data.num_keys={self.num_keys}"
        different = len(set(self.num_pairs)) == len(self.num_pairs)
        require(usable and different, "data.num_pairs", self.num_pairs, allowed)

    def require_room(self, sequence_length: int, vocab_size: int) -> None:
        """Raise :class:`ConfigError` where a row leaves no question, or keys and values exceed the vocabulary."""
        allowed = (
            f"pairs are two tokens each of trainer.sequence_length={sequence_length}, and one is left to ask"
        )
        require(2 * max(self.num_pairs) < sequence_length, "data.num_pairs", self.num_pairs, allowed)
        allowed = f"keys and as many values must fit into scale.vocab_size={vocab_size}"
        require(2 * self.num_keys <= vocab_size, "data.num_keys", self.num_keys, allowed)


@dataclass
class TokenizerConfig:
    """A byte-level byte-pair tokenizer trained on the training split."""

    kind: str
    vocab_size: int

    def __post_init__(self) -> None:
        require(self.kind == "byte_bpe", "tokenizer.kind", self.kind, "it can be byte_bpe")
        # 256 bytes and 3 special tokens are always there, and one merge makes it a byte-pair tokenizer.
        require(
            260 <= self.vocab_size <= MAX_VOCAB_SIZE,
            "tokenizer.vocab_size",
            self.vocab_size,
            f"it must be from 260 to {MAX_VOCAB_SIZE}",
        )
