"""Message catalogues of translated software: gettext (.po, .mo) and JSON, as pairs of English and Korean."""

import ast
import html
import json
import re
import struct
from collections.abc import Iterator
from pathlib import PurePosixPath
from zipfile import ZipFile

from lab.data.document import hangul, hangul_share
from lab.data.sources.gather import Item
from lab.data.sources.python_source import prose_paragraphs

MIN_HANGUL = 10
"""A message with fewer syllables is a label, not language."""


def gettext_messages(wheel: ZipFile, locale: str = "ko") -> Iterator[Item]:
    """The messages of every gettext catalogue for ``locale``: its .po, which keeps order, or its .mo."""
    names = set(wheel.namelist())
    for name in sorted(names):
        path = PurePosixPath(name)
        if path.parent.name != "LC_MESSAGES" or path.parent.parent.name != locale:
            continue
        topic = str(path.parent.parent.parent / path.stem)
        if path.suffix == ".po":
            entries = read_po(wheel.read(name).decode())
        elif path.suffix == ".mo" and str(path.with_suffix(".po")) not in names:
            entries = read_mo(wheel.read(name))
        else:
            continue
        for en, ko in entries:
            yield from clean_message(topic, en, ko)


def json_messages(wheel: ZipFile) -> Iterator[Item]:
    """The texts under equal keys of every pair of files ``ko.json`` and ``en.json`` in one folder."""
    names = set(wheel.namelist())
    for name in sorted(names):
        twin = re.sub(r"/ko\.json$", "/en.json", name)
        if twin == name or twin not in names:
            continue
        english = dict(_leaves(json.loads(wheel.read(twin))))
        for key, ko in _leaves(json.loads(wheel.read(name))):
            if key in english:
                yield from clean_message(name.removesuffix(".json"), english[key], ko)


def messages_and_help(wheel: ZipFile) -> Iterator[Item]:
    """thonny: its catalogue, and its Korean help pages paragraph by paragraph."""
    yield from gettext_messages(wheel, "ko_KR")
    for name in sorted(wheel.namelist()):
        if "/ko_KR/HELP_CONTENT/" in name and name.endswith(".rst"):
            for paragraph in prose_paragraphs(wheel.read(name).decode(), min_words=4):
                if hangul(paragraph) >= MIN_HANGUL:
                    yield Item(name, paragraph)


def read_po(text: str) -> Iterator[tuple[str, str]]:
    """(msgid, first msgstr) of every entry of a .po file that is neither fuzzy nor obsolete."""
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        fields: dict[str, str] = {}
        current, fuzzy = "", False
        for line in block.split("\n"):
            if line.startswith("#"):
                fuzzy |= line.startswith("#,") and "fuzzy" in line
            elif match := re.match(r'(msg\w+(?:\[\d+\])?)\s+(".*")\s*$', line):
                current = match[1]
                fields[current] = ast.literal_eval(match[2])
            elif line.startswith('"') and current:
                fields[current] += ast.literal_eval(line.strip())
        translation = fields.get("msgstr") or fields.get("msgstr[0]", "")
        if fields.get("msgid") and translation and not fuzzy:
            yield fields["msgid"], translation


def read_mo(data: bytes) -> Iterator[tuple[str, str]]:
    """(msgid, msgstr) of every entry of a .mo file; the first plural form, the context set aside."""
    order = "<" if data[:4] == b"\xde\x12\x04\x95" else ">"
    count, originals, translations = struct.unpack_from(f"{order}3I", data, 8)

    def string(table: int, index: int) -> str:
        length, start = struct.unpack_from(f"{order}2I", data, table + 8 * index)
        return data[start : start + length].decode().split("\0")[0]

    for index in range(count):
        original = string(originals, index).rpartition("\x04")[2]
        if original:
            yield original, string(translations, index)


def clean_message(topic: str, english: str, korean: str) -> Iterator[Item]:
    """The message as plain text; nothing where it is a label, untranslated, a template, or damaged."""
    if hangul(korean) < MIN_HANGUL or " " not in korean:
        return
    en, ko = _plain(english), _plain(korean)
    if ko is None or en is None or hangul(en) or any(slip.search(ko) for slip in _SLIPS):
        return
    if hangul(ko) >= MIN_HANGUL and hangul_share(ko) >= 0.4:
        yield Item(topic, ko, en)


_PLACEHOLDER = r"(?:%\(\w+\)[a-z]|%(?:\d+\$)?[sdifrcux]|\$?\{+[^{}]*\}+|\[\[\w+\]\]|\$\w+|%\w+%|%\d)"

_PARTICLE = "(?:을|를|이|가|은|는|과|와|으로|로)"

_SLIPS = (
    re.compile(rf"{_PARTICLE}\s?\({_PARTICLE}\)|\((?:으|이)\)"),  # both forms of a particle
    re.compile(rf"{_PLACEHOLDER}[\"'`)\]]*\s?{_PARTICLE}(?![가-힣])"),  # a particle after a gap
    re.compile("[\u3131-\u3163]"),  # a consonant or vowel on its own
)
"""What a translator writes around a placeholder, or by a slip of the keyboard: not Korean to be learnt."""


def _plain(text: str) -> str | None:
    """Markup removed; None where more than one placeholder, an address or unbalanced markup would remain."""
    text = re.sub(r"<br\s*/?>|</p>|</li>", "\n", text)
    text = html.unescape(re.sub(r"</?[a-zA-Z][^<>]*>", "", html.unescape(text)))
    text = re.sub(r"\[([^\[\]]+)\]\([^()]*\)", r"\1", text)
    text = re.sub(r":[a-z]+:`~?([^`<]+?)\s*(?:<[^>]*>)?`|`+([^`<]+?)\s*(?:<[^>]*>)?`+_*", r"\1\2", text)
    text = re.sub(r"\s*\(&\w\)|\*\*|__", "", text)
    text = re.sub(r"[ \t]*\n\s*", "\n", re.sub(r"[ \t]+", " ", text)).strip()
    damaged = (
        len(re.findall(_PLACEHOLDER, text)) > 1
        or "://" in text
        or "plural," in text
        or any(text.count(left) != text.count(right) for left, right in ("()", "[]", "{}", "<>"))
    )
    return None if damaged or not text else text


def _leaves(node: object, path: str = "") -> Iterator[tuple[str, str]]:
    """(dotted key, text) of every text in a JSON object."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}")
    elif isinstance(node, str):
        yield path, node
