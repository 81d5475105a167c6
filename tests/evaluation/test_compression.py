"""The xz yardstick."""

import lzma

import numpy as np
import pytest

from lab.evaluation.compression import xz_bits_per_byte


def noise(seed: int) -> str:
    return "".join(map(chr, np.random.default_rng(seed).integers(33, 127, 4000)))


def test_text_that_was_read_before_costs_almost_nothing() -> None:
    assert xz_bits_per_byte([noise(0)], [noise(1), noise(0)]) < 0.1
    assert xz_bits_per_byte([noise(0)], [noise(1)]) > 6.4


def test_noise_costs_its_entropy() -> None:
    assert xz_bits_per_byte([noise(0)]) == pytest.approx(np.log2(94), rel=0.05)


def test_the_figure_is_the_growth_of_the_compressed_stream_per_byte_of_the_texts() -> None:
    training, held_out = ["세금을 낸다. " * 50, "기기를 켠다."], ["세금을 켠다.", "a"]
    stream = "".join(f"{text}\n" for text in training).encode()
    longer = stream + "".join(f"{text}\n" for text in held_out).encode()
    grown = len(lzma.compress(longer, preset=9)) - len(lzma.compress(stream, preset=9))
    size = sum(len(text.encode()) for text in held_out)
    assert xz_bits_per_byte(held_out, training) == pytest.approx(8 * grown / size, abs=8 * 4 / size)
