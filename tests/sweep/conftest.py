"""Texts and a cache for the tiny sweeps of this folder, one thread a process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sweep.tiny import write_texts


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder ``texts`` of Korean sentences; corpora made of it go to a cache of their own."""
    base = tmp_path_factory.mktemp("sweeps")
    (base / "texts").mkdir()
    write_texts(base / "texts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_CACHE", str(base / "cache"))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield base / "texts"
