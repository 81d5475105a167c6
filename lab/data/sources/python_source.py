"""Python modules of a wheel, read as text: prose from docstrings, and code without them.

Only wheels that support Python 3.11 are read this way, so that every interpreter parses the same modules.
"""

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from zipfile import ZipFile

MAX_MODULE_BYTES = 60_000
"""Longer modules are mostly tables."""

_SKIPPED_FOLDERS = {
    "tests",
    "test",
    "testing",
    "benchmarks",
    "migrations",
    "versions",
    "locale",
    "_antlr",
    "hacking",
}


@dataclass(frozen=True)
class Module:
    """One module: ``code`` without docstrings and licence header, ``prose`` of its docstrings or nothing."""

    path: str
    code: str
    prose: str


def modules(wheel: ZipFile) -> Iterator[Module]:
    """The modules of ``wheel``, in an order that is scattered over its packages but always the same."""
    names = [name for name in wheel.namelist() if name.endswith(".py") and _is_library(PurePosixPath(name))]
    for name in sorted(names, key=lambda name: sha256(name.encode()).digest()):
        raw = wheel.read(name)
        if len(raw) > MAX_MODULE_BYTES:
            continue
        module = read_module(name, raw)
        if module is not None:
            yield module


def read_module(path: str, raw: bytes) -> Module | None:
    """The module at ``path``, or None where it cannot be parsed or is mostly data."""
    try:
        source = raw.decode()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # escapes such as "\d" in plain strings
            tree = ast.parse(source)
    except (UnicodeDecodeError, SyntaxError, ValueError):
        return None
    lines: list[str | None] = list(source.splitlines())
    if not source.strip() or _is_data(source):
        return None
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    paragraphs: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, documented) and (text := ast.get_docstring(node)):
            paragraphs.extend(prose_paragraphs(text))
            _drop_docstring(lines, node)
    code = "\n".join(line for line in lines if line is not None) + "\n"
    code = re.sub(r"\A(?:[ \t]*(?:#.*)?\n)+", "", code)  # the licence header
    return Module(path, code, "\n".join(dict.fromkeys(paragraphs)))


def prose_paragraphs(text: str, min_words: int = 6) -> list[str]:
    """Whole-sentence paragraphs of reStructuredText, a line each: no examples, fields, lists or maths."""
    paragraphs = []
    for block in re.split(r"\n[ \t]*\n", text):
        lines = block.strip("\n").split("\n")
        if len(lines) > 1 and _indent(lines[1]) > _indent(lines[0]):
            lines = lines[1:]  # a definition: the term goes, its explanation stays
        paragraph = " ".join(line.strip() for line in lines)
        if not paragraph or any(_NOT_PROSE.match(line.strip()) for line in lines):
            continue
        paragraph = re.sub(r" ?\[\d+\]_?", "", " ".join(paragraph.split()))
        paragraph = re.sub(r":[\w:]+:`[~!]?([^`<]+?)\s*(?:<[^>]*>)?`", r"\1", paragraph)
        paragraph = re.sub(r"`+([^`<]+?)\s*(?:<[^>]*>)?`+_*|\*+(\w[^*]*?)\*+", r"\1\2", paragraph)
        letters = sum(character.isalpha() or character == " " for character in paragraph)
        sentence = paragraph[-1] in ".!?" and len(paragraph.split()) >= min_words
        if sentence and letters >= 0.85 * len(paragraph) and "\\" not in paragraph:
            paragraphs.append(paragraph)
    return paragraphs


_NOT_PROSE = re.compile(
    r">>>|\.\.\.?(?:\s|$)|:\w|@|[=\-~^+|#*\[]{3,}|\||[-*+] |\d+[.)] |\$|\w+\(.*\)$|[\w*, ]+ : |\w+ \(\w+\):"
    r"|\w+: (?:str|string|int|float|bool|list|tuple|dict|path)\b"
)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _is_data(source: str) -> bool:
    """Whether a module is mostly tables: very long lines, or digits for a seventh of its characters."""
    return max(map(len, source.splitlines())) > 400 or sum(map(str.isdigit, source)) > len(source) / 7


def _is_library(path: PurePosixPath) -> bool:
    parts = path.parts
    return not path.name.startswith(("test_", "_version")) and not any(
        part in _SKIPPED_FOLDERS or part.endswith((".data", ".dist-info")) for part in parts
    )


def _drop_docstring(lines: list[str | None], node: ast.AST) -> None:
    """Replace the lines of ``node``'s docstring by None, in place; a body that it filled becomes ``...``."""
    body: list[ast.stmt] = getattr(node, "body")  # noqa: B009
    statement = body[0]
    first, last = statement.lineno - 1, (statement.end_lineno or statement.lineno) - 1
    before = (lines[first] or "")[: statement.col_offset]
    after = (lines[last] or "")[statement.end_col_offset :]
    if before.strip() or after.strip():
        return
    lines[first : last + 1] = [None] * (last + 1 - first)
    if len(body) == 1 and not isinstance(node, ast.Module):
        lines[first] = before + "..."
