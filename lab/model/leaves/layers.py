"""Which layer is what: the pattern of a stack."""

from dataclasses import dataclass, field

from lab.checks import require, require_at_least
from lab.model.leaves.position import Rotation

MIXERS = {"L": "local", "G": "global", "D": "linear"}


@dataclass(frozen=True)
class LayerPlan:
    """What one layer is made of.

    ``mixer`` is ``local`` (attention with a window), ``global`` (attention over everything) or ``linear`` (a recurrent
    mixer); ``window`` counts the keys a query sees, itself included, None = all; ``sparse`` tells experts from a
    dense feed-forward; ``rotation`` is None where the layer has no position signal; ``depth`` layers make the stack. A
    multi-token block, which stands behind it, has ``index`` equal to ``depth``.
    """

    index: int
    depth: int
    mixer: str
    window: int | None
    sparse: bool
    rotation: Rotation | None


def keys_seen(window: int | None, sequence: int) -> float:
    """Average number of keys a query attends to over a causal sequence of ``sequence`` tokens; window None = all."""
    reach = min(window or sequence, sequence)
    return reach - reach * (reach - 1) / (2 * sequence)


@dataclass
class LayersConfig:
    """The stack: ``lead`` gives the first layers one letter each, then ``pattern`` is tiled to the end.

    Letters: ``L`` local attention, ``G`` global attention, ``D`` linear mixer. ``windows`` overrides the window of
    single layers. The first ``num_dense`` layers have a dense feed-forward even where the model has experts.
    """

    count: int
    pattern: str = "G"
    lead: str = ""
    window: int = 128
    windows: dict[int, int] = field(default_factory=dict)
    num_dense: int = 0

    def __post_init__(self) -> None:
        require_at_least("model.layers", 1, count=self.count, window=self.window)
        for name, letters in (("pattern", self.pattern or "?"), ("lead", self.lead)):
            unknown = sorted(set(letters) - set(MIXERS))
            require(
                not unknown,
                f"model.layers.{name}",
                letters,
                "it is spelled with L (local), G (global), D (linear)",
            )
        require(
            0 <= self.num_dense <= self.count,
            "model.layers.num_dense",
            self.num_dense,
            f"it must lie between 0 and model.layers.count={self.count}",
        )
        for layer, window in self.windows.items():
            require_at_least("model.layers", 1, **{f"windows.{layer}": window})
            require(
                0 <= layer < self.count,
                "model.layers.windows",
                layer,
                f"layers run from 0 to {self.count - 1}",
            )

    def letters(self) -> str:
        """One letter a layer."""
        tiles = self.pattern * (self.count // len(self.pattern) + 1)
        return (self.lead + tiles)[: self.count]

    def window_of(self, layer: int) -> int:
        """Keys a query of a local ``layer`` sees, itself included."""
        return self.windows.get(layer, self.window)
