"""Settings of the evaluation room. Torch-free; each class checks itself."""

from dataclasses import dataclass, field

from lab.errors import ConfigError
from lab.evaluation.measures.catalogue import MEASURES, check_measures
from lab.evaluation.tasks.catalogue import select_tasks


@dataclass
class DecodingConfig:
    """Decoding speed is the median of ``repeats`` runs; each continues ``batch_size`` prompts greedily."""

    batch_size: int = 8
    prompt_length: int = 32
    new_tokens: int = 32
    repeats: int = 3

    def __post_init__(self) -> None:
        for name in ("batch_size", "prompt_length", "new_tokens", "repeats"):
            _require_at_least(1, f"evaluation.decoding.{name}", getattr(self, name))


@dataclass
class EvaluationConfig:
    """How a trained model is judged.

    Text is scored in windows of ``sequence_length`` tokens, null = the trainer's; ``batch_size`` such
    windows, or more of shorter ones, pass through the model at once. ``max_bytes`` of held-out text are read
    in each language, null = all. A probe asks up to ``num_items`` questions, 0 = none. ``seed`` draws
    documents and items; not the run's seed, as all runs are judged on the same ones. ``measures`` names what is
    measured beside that, see :data:`lab.evaluation.measures.catalogue.MEASURES`.
    """

    sequence_length: int | None = None
    batch_size: int = 16
    max_bytes: int | None = 40_960
    num_items: int = 200
    seed: int = 0
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    measures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_measures(self.measures)
        _require_at_least(1, "evaluation.batch_size", self.batch_size)
        if self.num_items != 0:
            _require_at_least(4, "evaluation.num_items", self.num_items, "0 or ")
        _require_at_least(0, "evaluation.seed", self.seed)
        for name in ("sequence_length", "max_bytes"):
            value = getattr(self, name)
            if value is not None:
                _require_at_least(1, f"evaluation.{name}", value, "null or ")

    def require_within(self, max_positions: int, trained_length: int) -> None:
        """Raise :class:`ConfigError` where a model of ``max_positions`` can't be judged by these settings.

        ``trained_length`` is the trainer's sequence length, in tokens.
        """
        lengths = {
            "evaluation.sequence_length": self.sequence_length or 0,
            "evaluation.decoding.prompt_length + evaluation.decoding.new_tokens": (
                self.decoding.prompt_length + self.decoding.new_tokens
            ),
        }
        for name in self.measures:
            reach = MEASURES[name].reach
            lengths[f"{reach} x trainer.sequence_length (evaluation.measures={name})"] = (
                reach * trained_length
            )
        for key, length in lengths.items():
            if length > max_positions:
                raise ConfigError(
                    f"{key}={length} cannot be used: it must be at most model.max_positions={max_positions}."
                )


@dataclass
class SuiteConfig(EvaluationConfig):
    """What ``experiments.evaluate`` measures, beyond what a race does.

    ``tasks`` null = every task, [] = none. ``sequence_length`` stands for the length the model was trained at, null =
    the run's own, or 1024 where that isn't known. Bits per byte are measured in texts of ``long_context`` times
    that length, or as many tokens as the model has positions; ``max_bytes`` of text of each kind are read. A task's
    item has a ``window`` of tokens, null = as many as the model has positions.
    """

    num_items: int = 400
    tasks: list[str] | None = None
    intrinsic: bool = True
    long_context: int = 4
    window: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_at_least(1, "evaluation.long_context", self.long_context)
        if self.window is not None:
            _require_at_least(1, "evaluation.window", self.window, "null or ")
        select_tasks(self.tasks)
        if not self.intrinsic and self.tasks == []:
            raise ConfigError(
                "evaluation.tasks=[] leaves nothing to measure: evaluation.intrinsic must be true."
            )


def _require_at_least(least: int, key: str, value: int, otherwise: str = "") -> None:
    if value < least:
        raise ConfigError(f"{key}={value} cannot be used: it must be {otherwise}at least {least}.")
