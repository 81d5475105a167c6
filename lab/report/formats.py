"""How numbers are written for people: few digits, the unit beside them."""

from __future__ import annotations

import math

MISSING = "–"


def decimal(value: float | None, places: int = 3) -> str:
    """``1.812``; a dash where there is no finite number."""
    return MISSING if value is None or not math.isfinite(value) else f"{value:.{places}f}"


def percent(share: float | None, places: int = 1) -> str:
    """``81.3%`` for 0.813."""
    return MISSING if share is None or not math.isfinite(share) else f"{100 * share:.{places}f}%"


def count(value: float | None) -> str:
    """Three significant digits with a decimal suffix: ``950``, ``12.3k``, ``4.10M``, ``236B``."""
    return _scaled(value, 1000, ("", "k", "M", "B", "T"))


def size_in_bytes(value: float | None) -> str:
    """Three significant digits with a binary unit: ``512 B``, ``4.00 KiB``."""
    return _scaled(value, 1024, (" B", " KiB", " MiB", " GiB", " TiB"))


def flops(value: float | None) -> str:
    """Floating-point operations in scientific notation with real superscripts: ``3.00 × 10¹³``."""
    if value is None or not math.isfinite(value) or value <= 0:
        return MISSING
    exponent = math.floor(math.log10(value))
    mantissa = f"{value / 10**exponent:.2f}"
    if mantissa == "10.00":
        mantissa, exponent = "1.00", exponent + 1
    return f"{mantissa} × 10{str(exponent).translate(_SUPERSCRIPTS)}"


def duration(seconds: float | None) -> str:
    """``48 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _scaled(value: float | None, base: int, suffixes: tuple[str, ...]) -> str:
    if value is None or not math.isfinite(value):
        return MISSING
    scaled, step = float(value), 0
    # 999.5 would round to 1000: move on to the next suffix before it does.
    while abs(scaled) >= base - 0.5 and step < len(suffixes) - 1:
        scaled, step = scaled / base, step + 1
    if step == 0 and scaled == round(scaled):
        return f"{scaled:.0f}{suffixes[0]}"
    places = 0 if abs(scaled) >= 100 else 1 if abs(scaled) >= 10 else 2
    return f"{scaled:.{places}f}{suffixes[step]}"
