"""The folder tier: the reader's own files, each a document or, for tables, one document a row."""

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from lab.data.config import FolderData
from lab.data.document import Document, Harvest, hangul_share
from lab.data.sources.fetch import Progress
from lab.errors import ConfigError
from lab.files import digest

SUFFIXES = (".txt", ".md", ".jsonl", ".parquet", ".py")

KOREAN_SHARE = 0.1
"""A prose document counts as Korean from this share of hangul: code and names are often in Latin letters."""

SECTION_CHARACTERS = 8_000
"""A longer prose file is cut at empty lines, each section a document, so that a book can be split too."""


class FolderSource:
    """Every readable file below ``config.path``, hidden ones aside, in the order of their names."""

    def __init__(self, config: FolderData) -> None:
        self.config = config
        self.root = Path(config.path).expanduser()
        if not self.root.is_dir():
            raise ConfigError(f"data.path={config.path} cannot be used: it must be an existing folder.")
        self.files = sorted(
            path
            for path in self.root.rglob("*")
            if path.suffix.lower() in SUFFIXES and path.is_file() and "/." not in f"/{self._name(path)}"
        )
        if not self.files:
            raise ConfigError(f"data.path={config.path} holds no text: it needs {', '.join(SUFFIXES)}.")

    def identity(self) -> object:
        """What the corpus depends on: names and contents of the files."""
        return [self._digests, self.config.text_field]

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {self._name(path): digest(path) for path in self.files}

    def harvest(self, progress: Progress) -> Harvest:
        """All documents; raises :class:`ConfigError` naming the first file that cannot be read."""
        progress(f"reading {len(self.files)} files of {self.root}")
        documents = [document for path in self.files for document in self._documents(path)]
        provenance: list[dict[str, object]] = [
            {"source": name, "sha256": checksum} for name, checksum in self._digests.items()
        ]
        return Harvest(documents, provenance=provenance)

    def _documents(self, path: Path) -> Iterator[Document]:
        name = self._name(path)
        for number, text in enumerate(self._texts(path)):
            group = f"{name}#{number}"
            prose = "ko" if hangul_share(text) >= KOREAN_SHARE else "en"
            language = "code" if path.suffix.lower() == ".py" else prose
            yield Document(f"{group}/{language}", language, name, text, group)

    def _texts(self, path: Path) -> Iterator[str]:
        suffix = path.suffix.lower()
        if suffix == ".jsonl":
            yield from self._json_lines(path)
        elif suffix == ".parquet":
            yield from self._parquet(path)
        elif suffix == ".py":
            yield self._read(path)
        else:
            yield from sections(self._read(path))

    def _json_lines(self, path: Path) -> Iterator[str]:
        for number, line in enumerate(self._read(path).splitlines(), start=1):
            if not line.strip():
                continue
            try:
                text = json.loads(line)[self.config.text_field]
            except (ValueError, KeyError, TypeError):
                text = None
            if not isinstance(text, str):
                raise ConfigError(
                    f"data.text_field={self.config.text_field} is missing in line {number} of {path}: "
                    "every line must be a JSON object with a text under that name."
                )
            yield text

    def _parquet(self, path: Path) -> Iterator[str]:
        from pyarrow import ArrowInvalid, parquet  # type: ignore[import-untyped]

        try:
            file = parquet.ParquetFile(path)
        except (ArrowInvalid, OSError) as error:
            raise ConfigError(
                f"data.path={self.config.path} holds {path}, which is not a Parquet file."
            ) from error
        if self.config.text_field not in file.schema_arrow.names:
            raise ConfigError(
                f"data.text_field={self.config.text_field} is not a column of {path}: "
                f"it has {', '.join(file.schema_arrow.names)}."
            )
        for batch in file.iter_batches(columns=[self.config.text_field]):
            yield from (str(text) for text in batch.column(0).to_pylist() if text)

    def _read(self, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConfigError(
                f"data.path={self.config.path} holds {path}, which is not UTF-8 (byte {error.start}): "
                "only UTF-8 text is read."
            ) from error

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def sections(text: str) -> Iterator[str]:
    """``text`` in pieces of about ``SECTION_CHARACTERS``, cut at empty lines; most texts are one piece."""
    piece: list[str] = []
    size = 0
    for paragraph in text.replace("\r\n", "\n").split("\n\n"):
        piece.append(paragraph)
        size += len(paragraph)
        if size >= SECTION_CHARACTERS:
            yield "\n\n".join(piece)
            piece, size = [], 0
    if any(paragraph.strip() for paragraph in piece):
        yield "\n\n".join(piece)
