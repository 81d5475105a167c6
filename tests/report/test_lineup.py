"""The table of contenders: its figures are the sizes', and the documents show what the command prints."""

import json
import re
import subprocess
import sys

import pytest

from experiments.contenders import ContendersSettings, entries
from lab.errors import ConfigError
from lab.overrides import CONF
from lab.report.lineup import lineup
from lab.report.parity import read_parity
from lab.report.tables import to_markdown
from tests.repository.files import read


@pytest.fixture(scope="module")
def markdown() -> str:
    return to_markdown(lineup(entries()))


@pytest.mark.parametrize("document", ["README.md", "README.ko.md"])
def test_the_documents_show_what_the_command_prints(document: str, markdown: str) -> None:
    (shown,) = re.findall(
        r"<!-- contenders-table -->\n\n(.*?)\n<!-- /contenders-table -->", read(document), re.DOTALL
    )
    assert shown == markdown


def test_every_contender_has_a_reference_and_a_published_size() -> None:
    rows = entries()
    assert sorted(rows) == sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
    assert set(read_parity()) == set(rows)
    k_exaone = rows["k_exaone"]
    assert (k_exaone.layers, k_exaone.parameters_total, k_exaone.multi_token) == (
        48,
        236_571_150_336,
        528_513_280,
    )
    assert (
        k_exaone.cache_bytes == 131_072 * 48 * 1024 + 18 * 1024**2
    )  # 12 global layers, 36 windows of 128 keys
    assert rows["motif_3"].parameters_total + 51 * 384 == 314_590_623_874  # with the selection biases


def test_the_command_prints_json() -> None:
    words = [sys.executable, "-m", "experiments.contenders", "format=json"]
    printed = json.loads(subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout)
    assert printed["solar_open"]["parameters_active"] == 12_054_827_008
    assert 0 < printed["solar_open"]["parity"]["difference"] < 1e-4


def test_an_unknown_format_is_told() -> None:
    with pytest.raises(ConfigError, match="format=html is unknown: it can be table, markdown, json"):
        ContendersSettings("html")
