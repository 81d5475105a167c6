"""What a contender is called and which colour it wears, the same on every page and in every figure.

A maker is a hue, a version a shade and a dash of that hue, the baseline is dotted, near black or near white.
The hues keep apart for readers with red- or green-blindness, on light and on dark paper (a test measures it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """``light`` and ``dark`` are its colours on such paper; ``dash`` its line's pattern, empty if solid."""

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
        Identity("k_exaone", "K-EXAONE", "LG AI Research", "#bf1487", "#fc62bf"),
        Identity("k_exaone_2", "K-EXAONE 2.0", "LG AI Research", "#8c0a62", "#d84aa0", (4, 1.5)),
        Identity("ax_k1", "A.X K1", "SK Telecom", "#0065e3", "#2f8cfe"),
        Identity("ax_k2", "A.X K2", "SK Telecom", "#0047a3", "#3f7fe0", (4, 1.5)),
        Identity("solar_open", "Solar Open", "Upstage", "#a8620a", "#ec941a"),
        Identity("solar_open_2", "Solar Open 2", "Upstage", "#7a4604", "#c47a14", (4, 1.5)),
        Identity("motif_2_6b", "Motif 2.6B", "Motif Technologies", "#2f7f68", "#7fe3c4", (1.5, 1.2)),
        Identity("motif_2", "Motif 2", "Motif Technologies", "#007a59", "#16c191"),
        Identity("motif_3", "Motif 3", "Motif Technologies", "#00523b", "#0f9c75", (4, 1.5)),
        Identity(BASELINE, "Llama", "baseline", "#3b3b3b", "#e3e1df", (1.2, 1.4)),
    )
}

# For contenders a user adds: hues between the makers'.
_SPARE = (("#8a6d00", "#d9bd4a"), ("#6a4bc4", "#b39bf5"), ("#4d7a1f", "#9ccb62"), ("#8a4b3c", "#d99a8a"))


def palette() -> list[tuple[str, str]]:
    """Colours for light and dark paper that are told apart: the makers' first, then the spare ones."""
    return [(one.light, one.dark) for one in KNOWN.values() if not one.dash] + list(_SPARE)


def identities(keys: Sequence[str]) -> dict[str, Identity]:
    """An identity for each key in ``keys``; unknown ones get spare colours in alphabetical order."""
    unknown = sorted(key for key in keys if key not in KNOWN)
    spare = {
        key: Identity(key, key.replace("_", " "), "", *_SPARE[index % len(_SPARE)])
        for index, key in enumerate(unknown)
    }
    return {key: KNOWN.get(key) or spare[key] for key in keys}
