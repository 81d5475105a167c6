"""The table in PLANS.md is what its command makes."""

import re
from pathlib import Path

from experiments.serve_cost import show_costs
from lab.overrides import compose_container

DOCUMENT = Path(__file__).parents[2] / "lab" / "planner" / "PLANS.md"


def test_committed_serving_table(capsys):
    show_costs(compose_container(["format=markdown"], "serve_cost"), ["format=markdown"])
    committed = re.search(
        r"<!-- python -m experiments\.serve_cost format=markdown -->\n(.*)<!-- /serving-table -->",
        DOCUMENT.read_text(encoding="utf-8"),
        re.DOTALL,
    )
    assert committed is not None
    assert committed[1].strip() == capsys.readouterr().out.strip()
