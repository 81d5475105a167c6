"""What the audit says of pairs whose relation is known: made one by one, kept in a file, gone on with."""

import csv
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import combinations, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from lab.files import write_text
from lab.independence.audit import audit
from lab.independence.config import AuditConfig
from lab.independence.testbed.derivations import copy_part, copy_rows
from lab.independence.testbed.kinds import CHILDREN, MIXTURE_CHILDREN, MIXTURE_STRANGERS, STRANGERS, Make
from lab.independence.testbed.models import RATE, TOKENS_PER_STEP, as_weights, fresh, parent, train
from lab.independence.verdicts import SHARES
from lab.independence.weights import Weights

PARENTS = 21  # 210 pairs
REPEATS = 10
CURVE_REPEATS = 6
ROWS = 2048
"""Residual vectors of a model of the testbed."""
FEW = tuple(count / ROWS for count in (1, 2, 4))
FRACTIONS = (0.005, 0.01, 0.023, 0.1, 0.3, 1.0)
SAME_RATE = "copied, then trained"
TEN_TIMES_THE_RATE = "copied, then trained at ten times the rate"
CURVE: dict[str, dict[int, tuple[float, ...]]] = {
    SAME_RATE: dict.fromkeys((0, 100, 300, 1200), FEW + FRACTIONS),
    TEN_TIMES_THE_RATE: dict.fromkeys((100, 300), FRACTIONS),
}
"""Fractions copied by the training since, in steps."""
LANGUAGES = 3


@dataclass(frozen=True)
class Outcome:
    """One audited pair. ``relation`` is independent, derived, reuse or common draw; p-values after Holm."""

    relation: str
    kind: str
    fraction: float
    tokens: int
    repeat: int
    shares: bool
    p: float
    p_rows: float
    p_units: float
    norm_cosine: float


@dataclass(frozen=True)
class Trial:
    relation: str
    kind: str
    fraction: float
    steps: int
    repeat: int
    pair: Callable[[], tuple[Weights, Weights]]

    @property
    def key(self) -> tuple[str, str, float, int, int]:
        return self.relation, self.kind, self.fraction, self.steps * TOKENS_PER_STEP, self.repeat


def trials() -> Iterator[Trial]:
    """Every trial: independent pairs, kinds, the curve; repeat by repeat, so that a stopped bench is of use."""
    for number, pair in enumerate(combinations(range(PARENTS), 2)):
        yield _independent(number, *pair)
    for repeat in range(REPEATS):
        for is_mixture, children, strangers in (
            (False, CHILDREN, STRANGERS),
            (True, MIXTURE_CHILDREN, MIXTURE_STRANGERS),
        ):
            yield from (_made("derived", kind, make, repeat, is_mixture) for kind, make in children.items())
            yield from (
                _made("independent", kind, make, repeat, is_mixture) for kind, make in strangers.items()
            )
        yield _common_draw(repeat)
    cells = [
        (steps, kind, fraction) for kind in CURVE for steps, them in CURVE[kind].items() for fraction in them
    ]
    for steps, kind, fraction in sorted(cells, key=lambda cell: cell[0]):  # what costs least comes first
        yield from (_reuse(kind, fraction, steps, repeat) for repeat in range(CURVE_REPEATS))


def run_bench(
    path: Path,
    config: AuditConfig,
    limit: int | None,
    workers: int,
    progress: Callable[[int, int], None],
) -> None:
    """Audit every trial (or the first ``limit``) that ``path`` lacks; the file is whole at any moment.

    ``workers`` processes share the work, of one thread each; with one it is done here.
    """
    outcomes = read_outcomes(path)
    known = {(o.relation, o.kind, o.fraction, o.tokens, o.repeat) for o in outcomes}
    todo = list(islice(trials(), limit))
    missing = [number for number, trial in enumerate(todo) if trial.key not in known]
    work = partial(_outcome, config=config)
    with _mapper(workers) as each:
        for done, outcome in enumerate(each(work, missing)):
            progress(len(todo) - len(missing) + done, len(todo))
            outcomes.append(outcome)
            write_outcomes(path, outcomes)
    progress(len(todo), len(todo))


@contextmanager
def _mapper(workers: int) -> Iterator[Callable[..., Iterator[Outcome]]]:
    if workers == 1:
        yield map
        return
    spawn = get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, torch.set_num_threads, (1,)) as pool:
        yield pool.map


def read_outcomes(path: Path) -> list[Outcome]:
    """The outcomes of a file, none where there is no file."""
    if not path.is_file():
        return []
    readers: dict[Any, Callable[[str], Any]] = {
        str: str,
        int: int,
        float: float,
        bool: lambda text: text == "True",
    }
    read = {field.name: readers[field.type] for field in fields(Outcome)}
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Outcome(**{key: read[key](value) for key, value in row.items()}) for row in csv.DictReader(file)
        ]


def write_outcomes(path: Path, outcomes: list[Outcome]) -> None:
    """One line a pair."""
    names = [field.name for field in fields(Outcome)]
    lines = [",".join(names)]
    for outcome in outcomes:
        values = asdict(outcome)
        lines.append(",".join(f'"{values[n]}"' if "," in str(values[n]) else str(values[n]) for n in names))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, "\n".join(lines) + "\n")


def _outcome(number: int, config: AuditConfig) -> Outcome:
    trial = next(islice(trials(), number, None))
    result = audit(*trial.pair(), config)
    findings = result.verdict("whole").findings
    by_rows = [f.corrected_p for f in findings if f.method == "row reuse"]
    by_units = [f.corrected_p for f in findings if f.method != "row reuse"]
    return Outcome(
        *trial.key,
        result.verdict("whole").words == SHARES,
        round(min(f.corrected_p for f in findings), 6),
        round(min(by_rows, default=1.0), 6),
        round(min(by_units, default=1.0), 6),
        round(result.norms.cosine, 4) if result.norms else float("nan"),
    )


def _independent(number: int, one: int, other: int) -> Trial:
    same = one % LANGUAGES == other % LANGUAGES
    kind = "same data, other seed" if same else "other data, other seed"
    return Trial(
        "independent",
        kind,
        0.0,
        0,
        number,
        lambda: (
            as_weights("a", parent(one, one % LANGUAGES)),
            as_weights("b", parent(other, other % LANGUAGES)),
        ),
    )


def _made(relation: str, kind: str, make: Make, repeat: int, is_mixture: bool) -> Trial:
    def pair() -> tuple[Weights, Weights]:
        source = parent(repeat, repeat % LANGUAGES, is_mixture)
        return as_weights("a", source), make(source, repeat)

    return Trial(relation, kind, 0.0, 0, repeat, pair)


def _common_draw(repeat: int) -> Trial:
    data = repeat % LANGUAGES
    return Trial(
        "common draw",
        "same seed, other data order",
        0.0,
        0,
        repeat,
        lambda: (
            as_weights("a", parent(repeat, data)),
            as_weights("b", train(fresh(repeat), data, 900 + repeat, 150)),
        ),
    )


def _reuse(kind: str, fraction: float, steps: int, repeat: int) -> Trial:
    """A model with rows of a parent, exactly so many where they are few, which was then trained."""
    data = repeat % LANGUAGES
    rate = RATE if kind == SAME_RATE else 10 * RATE

    def pair() -> tuple[Weights, Weights]:
        source, target = parent(repeat, data), fresh(300 + repeat)
        if fraction in FEW:
            child = copy_rows(source, target, round(fraction * ROWS), repeat)
        else:
            child = copy_part(source, target, fraction, repeat)
        return as_weights("a", source), as_weights("b", train(child, data, 400 + repeat, steps, rate=rate))

    return Trial("reuse", kind, fraction, steps, repeat, pair)
