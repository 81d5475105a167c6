"""Fresh memory is filled with NaN while kernels are tested: a result that was never written is a failure, not luck."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def nan_in_fresh_memory() -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    assert torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(before[0])
    torch.utils.deterministic.fill_uninitialized_memory = before[1]
