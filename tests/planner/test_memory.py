"""Memory against what steps of this laboratory really keep, for all ten contenders."""

import pytest
import torch

from lab.config import compose
from lab.kernels import attention
from lab.kernels.attention import banded, blockwise
from lab.kernels.cpp import can_build, sgemm
from lab.kernels.kimi_delta import chunked
from lab.model.decoder import Decoder, initialise
from lab.planner import saved_in_mixers
from lab.planner.config import LayoutConfig
from lab.planner.memory import memory
from lab.planner.quantity import BYTE

CONTENDERS = (
    "llama",
    "motif_2_6b",
    "motif_2",
    "motif_3",
    "solar_open",
    "solar_open_2",
    "ax_k1",
    "ax_k2",
    "k_exaone",
    "k_exaone_2",
)
LENGTHS = ((1, 256), (1, 512))
"""Sequences and tokens of each: windows of 128 are attended by a mask in the first, block by block in the second."""


def kept_bytes(model: Decoder, batch: int, length: int) -> int:
    """Bytes that one forward pass keeps for the backward pass; the head's early gradient is no activation."""
    config = model.config
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.Tensor] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        pointer = tensor.untyped_storage().data_ptr()
        if pointer not in own and tensor.shape != (config.vocab_size, config.width):
            kept[pointer] = tensor
        return tensor

    tokens = torch.randint(0, config.vocab_size, (batch, length))
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model.losses(tokens, tokens, torch.zeros_like(tokens), torch.arange(length).expand(batch, length))
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.mark.skipif(not can_build() or sgemm() is None, reason="no C++ compiler: library calls keep more")
@pytest.mark.parametrize("name", CONTENDERS)
def test_memory_of_a_step_here_is_predicted(name: str) -> None:
    """The whole within a tenth, as promised; its activations within a hundredth, so that a wrong formula shows."""
    config = compose([f"model={name}", "scale=micro"]).model
    model = initialise(Decoder(config), seed=0).train()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    for batch, length in LENGTHS:
        layout = LayoutConfig(precision="fp32", recompute="none", sequence=length, micro_batch=batch)
        predicted = memory(config, layout)
        state = (predicted.weights + predicted.gradients + predicted.optimizer).to(BYTE)
        activations, measured = predicted.activations.to(BYTE), kept_bytes(model, batch, length)
        assert state == parameters * 16
        assert (state + activations) / (parameters * 16 + measured) == pytest.approx(1, abs=0.1)
        assert activations / measured == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("name", CONTENDERS)
def test_memory_of_a_step_in_bfloat16_is_predicted(name: str) -> None:
    """The whole within a tenth, as promised; activations and the copies of matrices within a twentieth."""
    config = compose([f"model={name}", "scale=micro"]).model
    model = initialise(Decoder(config), seed=0).train()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    end, (batch, length) = config.vocab_size * config.width, LENGTHS[-1]
    layout = LayoutConfig(precision="autocast", recompute="none", sequence=length, micro_batch=batch)
    predicted = memory(config, layout)
    with torch.autocast("cpu", torch.bfloat16):
        measured = kept_bytes(model, batch, length)
    # the head's copy, which kept_bytes leaves out as it does all tensors of that shape
    activations, copies = predicted.activations.to(BYTE), 2 * (parameters - 2 * end)
    assert predicted.weights.to(BYTE) == 4 * parameters + 2 * (parameters - end)
    assert (16 * parameters + activations + copies) / (16 * parameters + measured) == pytest.approx(
        1, abs=0.1
    )
    assert (activations + copies) / measured == pytest.approx(1, abs=0.05)


def test_block_sizes_are_those_of_the_kernels() -> None:
    assert saved_in_mixers.CHUNK == chunked.CHUNK
    assert saved_in_mixers.LONGEST_RUN == blockwise.LONGEST_RUN
    assert (saved_in_mixers.BANDED_FROM, saved_in_mixers.SMALLEST_BLOCK) == (
        attention.BANDED_FROM,
        banded.SMALLEST_BLOCK,
    )
    for window, length in ((128, 512), (128, 511), (300, 4096)):
        expected = banded.block_size(window) if length >= attention.BANDED_FROM * window else None
        assert saved_in_mixers._block(window, length) == expected
