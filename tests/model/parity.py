"""Logit differences that parity tests measure, held to the record or, when asked, written into it."""

import os

from torch import Tensor

from lab.report.parity import MARGIN, Parity, read_parity, write_parity

EQUATIONS = "twin of equations"
"""The reference of a contender that transformers does not have: its equations in loops and float64, in the tests."""
LIMIT = 1e-4
"""No logit may differ by more, whatever the record says."""


def require_parity(contender: str, reference: str, logits: Tensor, expected: Tensor) -> None:
    """Fail where ``logits`` differ from ``expected`` by more than ``LIMIT``, or than ``MARGIN`` times the record.

    With ``LAB_RECORD_PARITY=1`` in the environment the largest difference of all tests becomes the record; remove
    the old one first.
    """
    assert expected.std() > 0.5, "logits of no size would agree anyhow"
    difference = (logits.detach() - expected.detach()).abs().max().item()
    assert difference < LIMIT
    record = read_parity()
    if os.environ.get("LAB_RECORD_PARITY"):
        former = record[contender].difference if contender in record else 0.0
        write_parity(record | {contender: Parity(reference, max(former, difference))})
        return
    assert record[contender].reference == reference
    assert difference <= MARGIN * record[contender].difference
