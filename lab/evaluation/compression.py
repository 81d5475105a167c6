"""The xz yardstick: what a general compressor needs for held-out text once it has read the training text."""

import lzma
from collections.abc import Sequence


def xz_bits_per_byte(held_out: Sequence[str], training: Sequence[str] = ()) -> float:
    """Bits per byte of the ``held_out`` texts when ``training`` texts stand before them in one xz stream.

    ``8 * (size(training + held_out) - size(training)) / bytes(held_out)`` with preset 9 extreme, whose
    dictionary reaches back 64 MiB. Without training texts it is plain compression, where the compressor has
    everything to learn from the held-out text itself; the race shows the figure with them.
    """
    before, text = _joined(training), _joined(held_out)
    return 8 * (_size(before + text) - _size(before)) / sum(len(part.encode()) for part in held_out)


def _joined(texts: Sequence[str]) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode()


def _size(data: bytes) -> int:
    return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
