"""From what a source yields to two sets of documents, one to train on and one held out.

normalise -> filter lines -> drop repeated lines -> drop duplicates and near-duplicates -> split by group of
documents. The split comes before anything is derived from the text, and near-duplicates are gone by then, so
that none can straddle it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from hashlib import blake2b
from math import ceil
from pathlib import Path
from typing import Any, Protocol

from lab.data import exercises
from lab.data.config import LANGUAGES, ExercisesData, TextData
from lab.data.deduplicate import distinct
from lab.data.document import Document, Harvest, hangul_share, normalise
from lab.data.sources.fetch import Progress
from lab.data.storage import write_json_lines
from lab.errors import ConfigError

FORMAT = 1
"""Raised whenever the same sources would give other texts, so that old caches are not reused."""

SPLITS = ("train", "held_out")
LINE_HANGUL_SHARE = 0.25
LONG_LINE = 20
MIN_CHARACTERS = 20


class Source(Protocol):
    """A tier of text: packages, a folder, the hub."""

    def identity(self) -> object:
        """JSON-able data that changes whenever the texts would."""

    def harvest(self, progress: Progress) -> Harvest:
        """All documents and pairs."""


def texts_identity(source: Source, data: TextData) -> object:
    """What a folder of texts depends on; the mixture is not part of it."""
    identity = [FORMAT, data.kind, source.identity(), data.held_out_fraction, data.split_salt]
    return identity + ([exercises.FORMAT, data.share] if isinstance(data, ExercisesData) else [])


def write_texts(source: Source, data: TextData, folder: Path, progress: Progress) -> dict[str, Any]:
    """Write ``<split>.<language>.jsonl`` and ``<split>.pairs.jsonl`` into ``folder``; return the manifest."""
    harvest = source.harvest(progress)
    progress(f"cleaning {len(harvest.documents)} documents")
    cleaned = clean(harvest.documents)
    progress("removing near-duplicates")
    documents = deduplicate(cleaned)
    split = held_out_groups(documents, data)
    parts = {
        (name, language): [
            document
            for document in documents
            if document.language == language and (document.group in split) == (name == "held_out")
        ]
        for name in SPLITS
        for language in LANGUAGES
    }
    kept_groups = {document.group for document in documents}
    pairs = {
        name: [
            replace(pair, ko=normalise(pair.ko), en=normalise(pair.en))
            for pair in harvest.pairs
            if pair.group in kept_groups and (pair.group in split) == (name == "held_out")
        ]
        for name in SPLITS
    }
    added: list[Document] = []
    if isinstance(data, ExercisesData):
        progress("writing exercises")
        training = {language: parts["train", language] for language in LANGUAGES}
        added = exercises.write_exercises(training, pairs["train"], data.share, data.split_salt)
        harvest.provenance.append({"source": exercises.SOURCE, "licence": "written here"})
    for document in added:
        parts["train", document.language].append(document)
    progress("writing documents")
    for (name, language), part in parts.items():
        if part:
            write_json_lines(folder / f"{name}.{language}.jsonl", (asdict(document) for document in part))
    for name in SPLITS:
        write_json_lines(folder / f"{name}.pairs.jsonl", (asdict(pair) for pair in pairs[name]))
    amounts = _amounts_by_source([*documents, *added])
    return {
        "format": FORMAT,
        "kind": data.kind,
        "held_out_fraction": data.held_out_fraction,
        "split_salt": data.split_salt,
        "languages": {
            language: {name: _amount(parts[name, language]) for name in SPLITS}
            for language in LANGUAGES
            if parts["train", language]
        },
        "documents_read": len(harvest.documents),
        "documents_blank": len(harvest.documents) - len(cleaned),
        "documents_duplicate": len(cleaned) - len(documents),
        "sources": [{**row, "kept": amounts.get(str(row["source"]), {})} for row in harvest.provenance],
    }


def clean(documents: Iterable[Document]) -> list[Document]:
    """Normalised documents without foreign lines and lines met before; those left nearly empty are dropped.

    A Korean line is kept when a quarter of its visible characters are hangul. A prose line of ``LONG_LINE``
    characters or more is kept where it is first met. Code is left whole.
    """
    met: set[bytes] = set()
    kept = []
    for document in documents:
        text = normalise(document.text)
        if document.language != "code":
            text = normalise("\n".join(_lines(document.language, text, met)))
        if len("".join(text.split())) >= MIN_CHARACTERS:
            kept.append(replace(document, text=text))
    return kept


def _lines(language: str, text: str, met: set[bytes]) -> Iterator[str]:
    for line in text.split("\n"):
        visible = line.strip()
        if language == "ko" and visible and hangul_share(visible) < LINE_HANGUL_SHARE:
            continue
        if len(visible) >= LONG_LINE:
            key = blake2b(visible.encode(), digest_size=16).digest()
            if key in met:
                continue
            met.add(key)
        yield line


def deduplicate(documents: list[Document]) -> list[Document]:
    """The documents without duplicates and near-duplicates within a language, in their order."""
    kept: set[int] = set()
    for language in LANGUAGES:
        places = [place for place, document in enumerate(documents) if document.language == language]
        kept.update(places[index] for index in distinct([documents[place].text for place in places], width=5))
    return [documents[place] for place in sorted(kept)]


def held_out_groups(documents: Iterable[Document], data: TextData) -> set[str]:
    """The groups whose documents are never trained on: those of smallest hash, at least one a language.

    Raises :class:`ConfigError` where a language of the mixture has too few groups to be split.
    """
    rank: dict[str, bytes] = {}
    groups_of: dict[str, set[str]] = {language: set() for language in LANGUAGES}
    for document in documents:
        groups_of[document.language].add(document.group)
        if document.group not in rank:
            rank[document.group] = blake2b(
                f"{data.split_salt}\n{document.group}".encode(), digest_size=16
            ).digest()
    held_out: set[str] = set()
    for language in LANGUAGES:
        groups = sorted(groups_of[language], key=lambda group: rank[group])
        if len(groups) == 1:
            raise ConfigError(
                f"data.held_out_fraction={data.held_out_fraction} cannot be met: the corpus has a single "
                f"{language} document, and 2 are needed to hold one out."
            )
        held_out.update(groups[: ceil(len(groups) * data.held_out_fraction)])
    for language in LANGUAGES:
        if groups_of[language] and groups_of[language] <= held_out:
            raise ConfigError(
                f"data.held_out_fraction={data.held_out_fraction} leaves no {language} document to train on: "
                "it must be smaller, or the corpus larger."
            )
    return held_out


def _amount(documents: Iterable[Document]) -> dict[str, int]:
    counted: Counter[str] = Counter(documents=0, lines=0, characters=0, bytes=0)
    for document in documents:
        counted["documents"] += 1
        counted["lines"] += document.text.count("\n") + 1
        counted["characters"] += len(document.text)
        counted["bytes"] += len(document.text.encode())
    return dict(counted)


def _amounts_by_source(documents: Iterable[Document]) -> dict[str, dict[str, dict[str, int]]]:
    """Amounts by source and language."""
    parts: dict[str, dict[str, list[Document]]] = {}
    for document in documents:
        parts.setdefault(document.source, {}).setdefault(document.language, []).append(document)
    return {
        source: {language: _amount(part) for language, part in sorted(by_language.items())}
        for source, by_language in parts.items()
    }
