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
    """The message as plain text; nothing where it is a label, untranslated, a template, or damaged.

    Korean whose English original cannot be used is kept without it.
    """
    if hangul(korean) < MIN_HANGUL or " " not in korean:
        return
    en, ko = _plain(english), _plain(korean)
    if hangul(ko) >= MIN_HANGUL and hangul_share(ko) >= 0.4 and not _SLIP.search(ko) and not hangul(en):
        yield Item(topic, ko, en)


_PLACEHOLDER = r"(?:%\(\w+\)[a-z]|%(?:\d+\$)?[sdifrcux]|\$?\{+[^{}]*\}+|\[\[\w+\]\]|\$\w+|%\w+%|%\d)"
_PARTICLE = "(?:을|를|이|가|은|는|과|와|으로|로)"
_SLIP = re.compile(rf"{_PARTICLE}\s?\({_PARTICLE}\)|\((?:으|이)\)|[\u3131-\u3163]")
"""Both forms of a particle, as written around a gap, or a letter on its own: not Korean to be learnt."""


def _plain(text: str) -> str:
    """The message without markup; empty where a gap, an address, data or unbalanced markup remains.

    A placeholder that follows or leads the sentence, set off by a colon, is cut away; any other is a gap.
    """
    text = re.sub(r"<br\s*/?>|</p>|</li>", "\n", text)
    text = html.unescape(re.sub(r"</?[a-zA-Z][^<>]*>", "", html.unescape(text)))
    text = re.sub(r"\[([^\[\]]+)\]\([^()]*\)", r"\1", text)
    text = re.sub(r":[a-z]+:`~?([^`<]+?)\s*(?:<[^>]*>)?`|`+([^`<]+?)\s*(?:<[^>]*>)?`+_*", r"\1\2", text)
    text = re.sub(r"\s*\(&\w\)|\*\*|__", "", text)
    text = re.sub(rf"^{_PLACEHOLDER} *: *| *: *[\"']?{_PLACEHOLDER}[\"']?\.?$", "", text.strip())
    text = re.sub(r"[ \t]*\n\s*", "\n", re.sub(r"[ \t]+", " ", text)).strip()
    text = re.sub(r"(?<!\.)\.\.$", ".", text)
    unusable = (
        re.search(rf"{_PLACEHOLDER}|://|plural,|^[,;)]", text)
        or any(text.count(left) != text.count(right) for left, right in ("()", "[]", "{}", "<>"))
        or not all(any(map(str.isalpha, line)) for line in text.split("\n"))
    )
    return "" if unusable else text


def _leaves(node: object, path: str = "") -> Iterator[tuple[str, str]]:
    """(dotted key, text) of every text in a JSON object."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}")
    elif isinstance(node, str):
        yield path, node
