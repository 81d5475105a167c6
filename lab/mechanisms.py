"""A widget in which mechanisms are swapped, and what that does to parameters, FLOPs and cache is seen at once.

``lab.swap(["model=solar_open"])`` as the last line of a notebook's cell. Nothing is built: every figure is arithmetic
on the configuration, at published size too. ipywidgets is imported when a widget is made.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from lab.config import Config, compose
from lab.errors import ConfigError
from lab.model.size import Size
from lab.model.size import size as size_of_model
from lab.overrides import CONF
from lab.report import formats
from lab.report.display import Figure, contender_title, cost_rows, part_rows
from lab.report.views import escape, grid, note, view

if TYPE_CHECKING:
    from ipywidgets import Widget

GROUPS = (
    "attention",
    "linear_attention",
    "position",
    "feed_forward",
    "router",
    "residual",
    "norm",
    "multi_token",
)
CONTEXTS = tuple(2**power for power in range(8, 21))  # tokens
OWN = ""  # the value of a dropdown that leaves the model its own mechanism; None would be no choice at all


class Swap:
    """The state of a widget: ``widgets`` by name, ``overrides`` and ``config`` say what they stand for.

    Figures are compared with the starting point ``start``, a list of overrides. A combination that cannot be is one
    sentence in place of the figures. Raises :class:`ConfigError` where ``start`` is one, or ipywidgets is missing.
    """

    def __init__(self, start: Iterable[str] = ()) -> None:
        try:
            import ipywidgets
        except ImportError as error:
            raise ConfigError(
                "ipywidgets is not installed: lab.swap needs the notebooks extra, as make lab installs it."
            ) from error
        self.start = list(start)
        self._before = first = compose(self.start)
        said, more = _split(self.start)
        wide = {"style": {"description_width": "9em"}, "layout": {"width": "25em"}}
        self.widgets: dict[str, Any] = {
            "model": ipywidgets.Dropdown(
                options=[(contender_title(name), name) for name in options_of("model")],
                value=said.get("model", first.model.name),
                description="model",
                **wide,
            ),
            "scale": ipywidgets.Dropdown(
                options=options_of("scale"), value=said.get("scale", "nano"), description="scale", **wide
            ),
        }
        for group in GROUPS:
            self.widgets[group] = ipywidgets.Dropdown(description=group.replace("_", " "), **wide)
        self.widgets["more"] = ipywidgets.Text(
            value=shlex.join(more),
            placeholder="model.layers.pattern=DDDG",
            description="more overrides",
            continuous_update=False,
            **wide,
        )
        self.widgets["context"] = ipywidgets.SelectionSlider(
            options=[(f"{length:,}", length) for length in CONTEXTS],
            value=max(length for length in CONTEXTS if length <= max(first.model.max_positions, CONTEXTS[0])),
            description="tokens of text",
            continuous_update=False,
            **wide,
        )
        self.text = ipywidgets.HTML()
        again = ipywidgets.Button(description="compare with this", layout={"width": "25em"})
        again.on_click(lambda button: self.begin_here())
        self._offer_groups({group: said.get(f"model/{group}", OWN) for group in GROUPS})
        self._offering = False  # while the dropdowns are filled anew, nothing is answered
        self.widgets["model"].observe(lambda change: self._follow_model(), names="value")
        for name, widget in self.widgets.items():
            if name != "model":
                widget.observe(lambda change: self.answer(), names="value")
        left = ipywidgets.VBox([*self.widgets.values(), again])
        self.whole: Widget = ipywidgets.HBox(
            [left, self.text], layout={"flex_flow": "row wrap", "grid_gap": "0 2em"}
        )
        self.answer()

    @property
    def overrides(self) -> list[str]:
        """What the widgets say, to be given to :func:`lab.compose` or to a command."""
        groups = [(f"model/{group}", self.widgets[group].value) for group in GROUPS]
        chosen = [("model", self.widgets["model"].value), ("scale", self.widgets["scale"].value), *groups]
        try:
            more = shlex.split(self.widgets["more"].value)
        except ValueError as error:
            raise ConfigError(
                f"more overrides={self.widgets['more'].value} cannot be read: quotes must be closed."
            ) from error
        return [*(f"{key}={value}" for key, value in chosen if value != OWN), *more]

    @property
    def config(self) -> Config:
        """The typed configuration that the widgets stand for; raises :class:`ConfigError` where there is none."""
        return compose(self.overrides)

    def begin_here(self) -> None:
        """Make what the widgets say the starting point; a combination that cannot be changes nothing."""
        try:
            self._before = self.config
        except ConfigError:
            return
        self.start = self.overrides
        self.answer()

    def answer(self) -> None:
        """Compose, and show what it costs; what cannot be is one sentence."""
        if self._offering:
            return
        context = self.widgets["context"].value
        try:
            now = size_of_model(self.config.model, context)
        except ConfigError as error:
            self.text.value = view(note(str(error), bad=True))
            return
        before = size_of_model(self._before.model, context)
        self.text.value = view(comparison(before, now), paste(self.overrides))

    def _follow_model(self) -> None:
        """Another model has other mechanisms of its own; what was swapped stays swapped."""
        self._offering = True
        self._offer_groups({group: self.widgets[group].value for group in GROUPS})
        self._offering = False
        self.answer()

    def _offer_groups(self, chosen: dict[str, str]) -> None:
        own = own_mechanisms(self.widgets["model"].value)
        for group, value in chosen.items():
            widget, others = self.widgets[group], options_of(f"model/{group}")
            offered = [(f"{own[group]}, its own", OWN), *((option, option) for option in others)]
            widget.options = offered
            widget.value = value

    def _repr_mimebundle_(self, **wanted: Any) -> Any:
        """What a notebook shows: the widget."""
        return self.whole._repr_mimebundle_(**wanted)

    def __repr__(self) -> str:
        return f"Swap({self.overrides})"


def swap(start: Iterable[str] = ()) -> Swap:
    """The widget, opened at what the overrides ``start`` compose; see :class:`Swap`."""
    return Swap(start)


def options_of(group: str) -> list[str]:
    """The options of a group of ``conf/``."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def own_mechanisms(model: str) -> dict[str, str]:
    """The mechanism of each group that a model has of its own, as its file says."""
    entries = yaml.safe_load((CONF / "model" / f"{model}.yaml").read_text(encoding="utf-8"))["defaults"]
    said = {key: option for entry in entries if isinstance(entry, dict) for key, option in entry.items()}
    return {group: said[group] for group in GROUPS}


def comparison(before: Size, now: Size) -> str:
    """A table: every figure at the starting point, now, and the change; what neither has is left out."""
    pairs = list(zip(_figures(before), _figures(now), strict=True))
    rows = [
        (label, write(was), write(value), change(was, value))
        for (label, was, write), (_, value, _) in pairs
        if was or value
    ]
    total = [label for label, *_ in rows].index(cost_rows(now)[0][0])
    return grid(rows, ("", "start", "now", "change"), numbers=(1, 2, 3), sums=[total])


def paste(overrides: Sequence[str]) -> str:
    """The configuration as a line of Python and as words of a command."""
    line = f"lab.compose({overrides})"
    return f"<div><code>{escape(line)}</code></div><div><code>{escape(shlex.join(overrides))}</code></div>"


def change(before: float, now: float) -> str:
    """``+12.5%``; a dash where nothing changed, ``new`` where there was nothing before."""
    if before == now:
        return formats.MISSING
    return f"{now / before - 1:+.1%}" if before else "new"


def _figures(size: Size) -> list[Figure]:
    cache = size.cache_bytes_fixed + size.sequence * size.cache_bytes_per_token
    return [
        *part_rows(size),
        *cost_rows(size),
        (f"cache after {size.sequence:,} tokens", cache, formats.size_in_bytes),
    ]


def _split(overrides: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Overrides that have a dropdown, by group, and the others."""
    groups = {"model", "scale", *(f"model/{group}" for group in GROUPS)}
    said, more = {}, []
    for override in overrides:
        key, _, value = override.partition("=")
        if key in groups:
            said[key] = value
        else:
            more.append(override)
    return said, more
