"""A page for JupyterLab over the planner's own functions: sliders on the left, the plan and a figure on the right.

``from lab.planner.page import page; page(models)`` in a notebook. ipywidgets is imported when a page is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lab.errors import ConfigError
from lab.model.config import ModelConfig
from lab.planner import facts
from lab.planner.config import OPTIMIZERS, PRODUCT_PRECISIONS, BudgetConfig, ClusterConfig
from lab.planner.describe import plan_lines
from lab.planner.plans import Candidate, Request, title
from lab.planner.plots import memory_figure, tornado_figure, what_if_figure
from lab.planner.quantity import TOKEN
from lab.planner.search import Found, search

if TYPE_CHECKING:
    from ipywidgets import Widget

FIGURES = ("memory", "doubt", "what if")


class Page:
    """The state of a page: ``widgets`` by name, ``ask`` reads them, ``answer`` shows a plan or one sentence.

    ``models`` are those that can be chosen, by name; raises :class:`ConfigError` where ipywidgets is missing.
    """

    def __init__(self, models: Mapping[str, ModelConfig]) -> None:
        try:
            import ipywidgets
        except ImportError as error:
            raise ConfigError("ipywidgets is not installed: the page needs the notebooks extra.") from error
        priced = sorted({price["device"] for price in facts.read("prices")["prices"]} & set(facts.devices()))
        wide = {"style": {"description_width": "9em"}, "layout": {"width": "26em"}}
        self.models = models
        self.widgets: dict[str, Any] = {
            "model": ipywidgets.Dropdown(
                options=[(title(name), name) for name in models], description="model", **wide
            ),
            "device": ipywidgets.Dropdown(options=priced, value="b200", description="device", **wide),
            "devices": ipywidgets.IntSlider(
                768, 8, 4096, 8, description="devices", continuous_update=False, **wide
            ),
            "days": ipywidgets.IntSlider(150, 1, 730, description="days", continuous_update=False, **wide),
            "won": ipywidgets.FloatLogSlider(
                24.0, base=10, min=-1, max=3, description="billion won", continuous_update=False, **wide
            ),
            "tokens": ipywidgets.FloatLogSlider(
                12.5, base=10, min=-2, max=2, description="trillion tokens", continuous_update=False, **wide
            ),
            "as_many": ipywidgets.Checkbox(False, description="as many tokens as the bounds allow", **wide),
            "precision": ipywidgets.Dropdown(
                options=PRODUCT_PRECISIONS, value="fp8", description="precision", **wide
            ),
            "optimizer": ipywidgets.Dropdown(options=OPTIMIZERS, description="optimizer", **wide),
            "figure": ipywidgets.ToggleButtons(options=FIGURES),
        }
        self.text = ipywidgets.HTML()
        self.picture = ipywidgets.Image(format="png", layout={"width": "44em"})
        for widget in self.widgets.values():
            widget.observe(lambda change: self.answer(), names="value")
        controls = [widget for name, widget in self.widgets.items() if name != "figure"]
        right = ipywidgets.VBox([self.text, self.widgets["figure"], self.picture])
        self.whole: Widget = ipywidgets.HBox([ipywidgets.VBox(controls), right])
        self.answer()

    def ask(self) -> Request:
        """What the widgets say."""
        said = {name: widget.value for name, widget in self.widgets.items()}
        return Request(
            cluster=ClusterConfig("page", said["device"], said["devices"]),
            budget=BudgetConfig(won=said["won"] * 1e9, deadline_days=said["days"]),
            tokens=None if said["as_many"] else said["tokens"] * 1e12 * TOKEN,
            precision=said["precision"],
            optimizer=said["optimizer"],
        )

    def answer(self) -> None:
        """Plan anew and show it; what cannot be is one sentence and no figure."""
        name, request = self.widgets["model"].value, self.ask()
        try:
            found = search(request, [Candidate(name, self.models[name])])
        except ConfigError as error:
            self.text.value, self.picture.value = f"<p style='color:#b3261e'>{error}</p>", b""
            return
        self.text.value = "".join(f"<div>{line}</div>" for line in plan_lines(found, request))
        self.picture.value = self._figure(found, request)

    def _figure(self, found: Found, request: Request) -> bytes:
        from io import BytesIO

        chosen = self.widgets["figure"].value
        if chosen == "memory":
            figure = memory_figure(found.plans, request)
        elif chosen == "doubt":
            figure = tornado_figure(found.recommended)
        else:
            figure = what_if_figure(found.recommended, request)
        buffer = BytesIO()
        figure.savefig(buffer, format="png", dpi=120)
        return buffer.getvalue()


def page(models: Mapping[str, ModelConfig]) -> Widget:
    """The page as a widget, to be the last value of a cell; see :class:`Page`."""
    return Page(models).whole
