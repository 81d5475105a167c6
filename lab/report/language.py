"""Two languages on one page: a text in English and in Korean, and where the texts come from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import yaml

from lab.report.templates import PAGE

Language = Literal["en", "ko", "both"]
COUNTS, DIGITS = ("n", "total"), r"\d+"  # gaps of a phrase that only a number fills
LANGUAGES: tuple[Language, ...] = ("en", "ko", "both")


@dataclass(frozen=True)
class Text:
    """The same said in English (``en``) and in Korean (``ko``)."""

    en: str
    ko: str

    def within(self, language: Language) -> list[str]:
        """What a page of ``language`` says: one text, or both where they differ."""
        if language == "both":
            return [self.en] if self.en == self.ko else [self.en, self.ko]
        return [self.en if language == "en" else self.ko]


def say(key: str, **values: Any) -> Text:
    """The text ``key`` of ``page/texts.yaml`` with ``values`` put in; a value may be a text itself."""
    entry = _texts()["page"][key]
    return Text(
        *(
            entry[language].format(**{name: _spoken(value, language) for name, value in values.items()})
            for language in ("en", "ko")
        )
    )


def translated(english: str) -> Text:
    """A word or a sentence of a table or a drawing with its Korean, where ``page/texts.yaml`` has one.

    It may have it as a phrase with gaps; what fills them is translated in its turn.
    """
    if english in _texts()["words"]:
        return Text(english, _texts()["words"][english])
    for pattern, korean in _phrases():
        if match := pattern.fullmatch(english):
            filled = {name: translated(part).ko for name, part in match.groupdict().items()}
            return Text(english, korean.format(**filled))
    return plain(english)


def plain(text: str) -> Text:
    """What is the same in both languages: a name, a number, a user's own sentence."""
    return Text(text, text)


def _spoken(value: Any, language: str) -> Any:
    return getattr(value, language) if isinstance(value, Text) else value


@cache
def _phrases() -> list[tuple[re.Pattern[str], str]]:
    """Phrases as patterns; a gap takes as little as it can."""

    def group(gap: re.Match[str]) -> str:
        return f"(?P<{gap[1]}>{DIGITS if gap[1] in COUNTS else '.+?'})"

    return [
        (re.compile(re.sub(r"\\{(\w+)\\}", group, re.escape(entry["en"])), re.DOTALL), entry["ko"])
        for entry in _texts()["phrases"]
    ]


@cache
def _texts() -> Mapping[str, Any]:
    return yaml.safe_load((PAGE / "texts.yaml").read_text(encoding="utf-8"))
