from collections.abc import Callable
from pathlib import Path

import pytest

from .fabricated import fabricate_race


@pytest.fixture(scope="session")
def finished_race(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A race of five contenders and two seeds, all judged; read only."""
    return fabricate_race(tmp_path_factory.mktemp("race"))


@pytest.fixture
def make_race(tmp_path: Path) -> Callable[..., Path]:
    """Fabricates a race that a test may damage: ``make_race(contenders=[...], seeds=[...])``."""
    return lambda **options: fabricate_race(tmp_path / "race", **options)
