"""From short self-contained texts to documents: near-duplicates removed, neighbours gathered."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab.data.deduplicate import distinct
from lab.data.document import Document, Harvest, Pair

DOCUMENT_CHARACTERS = 1200
"""A document of gathered items is closed once its Korean text is this long."""


@dataclass(frozen=True)
class Item:
    """A self-contained Korean text, with its English original where there is one.

    Items of one ``topic`` (a judgment's kind of tax, a catalogue, a component) come from near each other.
    """

    topic: str
    ko: str
    en: str = ""


def gather(items: Sequence[tuple[str, Item]]) -> Harvest:
    """Documents and pairs from (source, item): one source and topic gathered in order, an item a line.

    An item whose Korean is a near-duplicate of an earlier one is dropped. Where only the English is, the
    English twin of the document lacks that line and no pair is made, so that no text is met twice in either
    language.
    """
    korean = distinct([item.ko for _, item in items], width=3)
    with_english = [index for index in korean if items[index][1].en]
    english = {
        with_english[place] for place in distinct([items[index][1].en for index in with_english], width=3)
    }

    harvest = Harvest()
    neighbours: dict[tuple[str, str], list[int]] = {}
    for index in korean:
        source, item = items[index]
        neighbours.setdefault((source, item.topic), []).append(index)
    for (source, topic), run in neighbours.items():
        for number, chunk in enumerate(_chunks(run, items)):
            group = f"{source}:{topic}#{number}"
            texts = {"ko": [items[index][1].ko for index in chunk]}
            texts["en"] = [items[index][1].en for index in chunk if index in english]
            for language, lines in texts.items():
                if lines:
                    harvest.documents.append(
                        Document(f"{group}/{language}", language, source, "\n".join(lines), group)
                    )
            harvest.pairs.extend(
                Pair(source, group, items[index][1].ko, items[index][1].en)
                for index in chunk
                if index in english
            )
    return harvest


def _chunks(indices: Iterable[int], items: Sequence[tuple[str, Item]]) -> Iterable[list[int]]:
    chunk: list[int] = []
    size = 0
    for index in indices:
        chunk.append(index)
        size += len(items[index][1].ko)
        if size >= DOCUMENT_CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
