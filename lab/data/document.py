"""The unit of every corpus: one document in one language, with the key that decides its split."""

import re
import unicodedata
from dataclasses import dataclass, field

_HANGUL = re.compile("[가-힣]")


@dataclass(frozen=True)
class Document:
    """A text and where it came from. Documents of one ``group`` always share a split.

    A Korean catalogue page and its English twin are one group, and so are a module's code and its docstrings.
    """

    id: str
    language: str
    source: str
    text: str
    group: str


@dataclass(frozen=True)
class Pair:
    """A Korean text and its English original, both complete messages of a catalogue."""

    source: str
    group: str
    ko: str
    en: str


@dataclass
class Harvest:
    """What a source yielded, and one row of provenance for every package, file or data set."""

    documents: list[Document] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    provenance: list[dict[str, object]] = field(default_factory=list)


def hangul(text: str) -> int:
    """How many precomposed hangul syllables ``text`` holds."""
    return len(_HANGUL.findall(text))


def hangul_share(text: str) -> float:
    """Hangul syllables per character that is not white space; 0 for blank text."""
    visible = len("".join(text.split()))
    return hangul(text) / visible if visible else 0.0


def normalise(text: str) -> str:
    """NFC, one kind of newline, no invisible characters, trailing blanks or runs of empty lines."""
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    text = _INVISIBLE.sub("", text).replace("\u00a0", " ")
    text = re.sub(r"[ \t\f\v]+\n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n").rstrip()


_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\u00ad\u200b-\u200f\u202a-\u202e\u2060\ufeff]"
)
