"""What a contender is called and which colour it wears, the same on every page and in every figure.

A maker is a hue, a version is a shade and a dash of that hue, the baseline is a dotted grey. The hues keep apart
for readers with red- or green-blindness, on light and on dark paper (a test measures it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """``light`` and ``dark`` are the colours on that paper; ``dash`` is a line's on-off pattern, empty for solid."""

    key: str
    title: str
    maker: str
    light: str
    dark: str
    dash: tuple[float, ...] = ()


BASELINE = "llama"

KNOWN = {
    identity.key: identity
    for identity in (
        Identity("k_exaone", "K-EXAONE", "LG AI Research", "#a8246e", "#f08bc0"),
        Identity("k_exaone_2", "K-EXAONE 2.0", "LG AI Research", "#7d1250", "#d45f9f", (4, 1.5)),
        Identity("ax_k1", "A.X K1", "SK Telecom", "#1f63c4", "#6ea8f7"),
        Identity("ax_k2", "A.X K2", "SK Telecom", "#123f86", "#4a82d6", (4, 1.5)),
        Identity("solar_open", "Solar Open", "Upstage", "#cf5a00", "#f79a3e"),
        Identity("solar_open_2", "Solar Open 2", "Upstage", "#9c3f00", "#d67716", (4, 1.5)),
        Identity("motif_2_6b", "Motif 2.6B", "Motif Technologies", "#2b9c8a", "#9be8d8", (1.5, 1.2)),
        Identity("motif_2", "Motif 2", "Motif Technologies", "#00786a", "#3ecfb4"),
        Identity("motif_3", "Motif 3", "Motif Technologies", "#00534a", "#22a58f", (4, 1.5)),
        Identity(BASELINE, "Llama", "baseline", "#66645f", "#a5a29b", (1.2, 1.4)),
    )
}

# For contenders a user adds: hues between the makers'.
_SPARE = (("#8a6d00", "#d9bd4a"), ("#6a4bc4", "#b39bf5"), ("#4d7a1f", "#9ccb62"), ("#8a4b3c", "#d99a8a"))


def identities(keys: Sequence[str]) -> dict[str, Identity]:
    """An identity for each key in ``keys``; unknown ones get spare colours in alphabetical order."""
    unknown = sorted(key for key in keys if key not in KNOWN)
    spare = {
        key: Identity(key, key.replace("_", " "), "", *_SPARE[index % len(_SPARE)])
        for index, key in enumerate(unknown)
    }
    return {key: KNOWN.get(key) or spare[key] for key in keys}
