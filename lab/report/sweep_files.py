"""What a table leaves on the disk: beside the runs of a sweep, or as results to be committed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab.errors import ConfigError
from lab.files import write_text
from lab.report.sheet import WIDE
from lab.report.sweep_committed import is_committed, write_committed
from lab.report.sweep_jobs import Sweep
from lab.report.sweep_plots import sweep_figures, variant_identities
from lab.report.sweep_table import require_results, sweep_markdown, sweep_table
from lab.report.sweeps import read_sweep
from lab.report.tables import to_csv
from lab.report.templates import PAGE

TABLE_BEGIN, TABLE_END = "<!-- table -->", "<!-- /table -->"
MARGIN, GAP = 16, 24  # points around and between the drawings of a file


def write_tables(folder: Path | str) -> tuple[Sweep, list[Path]]:
    """Read a sweep and write its table and figures beside it; returns it with the paths written.

    Both kinds of folder get ``table.csv`` and ``figure.svg``; the table itself is ``table.md``, with committed results
    what stands between the two marks of their ``README.md``, if there is one. Raises ConfigError where there is
    nothing to show yet.
    """
    sweep = read_sweep(folder)
    require_results(sweep)
    with _writable("sweep", folder):
        if is_committed(sweep.folder):
            written = _write_readme(sweep)
        else:
            written = [sweep.folder / "table.md"]
            write_text(written[0], sweep_markdown(sweep))
        numbers = sweep.folder / "table.csv"
        write_text(numbers, to_csv(sweep_table(sweep)))
        return sweep, [*written, numbers, _write_figure(sweep)]


def export_sweep(sweep: Sweep, folder: Path | str) -> tuple[Sweep, list[Path]]:
    """Write a sweep's results to be committed, then its table and figures from these files alone."""
    with _writable("export", folder):
        written = write_committed(sweep, Path(folder))
    committed, made = write_tables(folder)
    return committed, [*written, *made]


def table_block(document: str) -> str | None:
    """What stands between the marks of a README, None where it has none."""
    found = re.search(rf"{TABLE_BEGIN}\n(.*?){TABLE_END}", document, re.DOTALL)
    return found[1] if found else None


def standalone(sweep: Sweep, drawings: Sequence[str]) -> str:
    """Wide drawings of a sweep, one beneath the other, as an SVG file with its own colours for light and dark."""
    sizes = [_size(svg) for svg in drawings]
    width = max(width for width, _ in sizes) + 2 * MARGIN
    height = sum(height + GAP for _, height in sizes) - GAP + 2 * MARGIN
    placed, top = [], float(MARGIN)
    for svg, (own_width, own_height) in zip(drawings, sizes, strict=True):
        place = f'<svg x="{MARGIN}" y="{top:g}" width="{own_width:g}" height="{own_height:g}" '
        placed.append(svg.replace("<svg ", place, 1))
        top += own_height + GAP
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}">',
            f"<style>{_style(sweep)}</style>",
            '<rect width="100%" height="100%" fill="var(--paper)"/>',
            *placed,
            "</svg>\n",
        ]
    )


@contextmanager
def _writable(key: str, folder: Path | str) -> Iterator[None]:
    """Turn the operating system's refusals into one sentence."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{key}={folder} cannot be written ({error.strerror}): choose a folder that can."
        ) from error


def _write_figure(sweep: Sweep) -> Path:
    path = sweep.folder / "figure.svg"
    figures = sweep_figures(sweep, {"wide": WIDE})
    write_text(path, standalone(sweep, [drawings["wide"] for drawings in figures.values()]))
    return path


def _write_readme(sweep: Sweep) -> list[Path]:
    path = sweep.folder / "README.md"
    if not path.is_file():
        return []
    document = path.read_text(encoding="utf-8")
    if table_block(document) is None:
        raise ConfigError(
            f"{path} has no place for the table: put {TABLE_BEGIN} and {TABLE_END} on lines of their own."
        )
    before, _, rest = document.partition(f"{TABLE_BEGIN}\n")
    after = rest.partition(TABLE_END)[2]
    write_text(path, f"{before}{TABLE_BEGIN}\n{sweep_markdown(sweep)}{TABLE_END}{after}")
    return [path]


def _size(svg: str) -> tuple[float, float]:
    """Width and height of a drawing's view box."""
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert found is not None
    return float(found[1]), float(found[2])


def _style(sweep: Sweep) -> str:
    """The page's colours and the variants', light ones first and dark ones where the reader's system asks for them."""
    page = (PAGE / "style.css").read_text(encoding="utf-8")
    colours = re.findall(r"--(paper|ink|muted|rule|grid): light-dark\((#\w+), (#\w+)\)", page)
    colours += [(f"series-{one.key}", one.light, one.dark) for one in variant_identities(sweep).values()]
    light = " ".join(f"--{role}: {light};" for role, light, _ in colours)
    dark = " ".join(f"--{role}: {dark};" for role, _, dark in colours)
    return (
        f":root {{ {light} }} @media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }} "
        "text { font-family: system-ui, sans-serif; }"
    )
