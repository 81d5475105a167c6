"""What a released checkpoint of a configuration holds, counted from the configuration alone, without torch."""

import math
from dataclasses import asdict, dataclass, replace

from lab.errors import ConfigError
from lab.model.checkpoint.family import format_for
from lab.model.config import ModelConfig
from lab.model.leaves.multi_token import NoMultiToken

BYTES_PER_VALUE, BYTES_PER_BIAS = 2, 4
"""Released weights are bfloat16; selection biases stay float32."""


@dataclass(frozen=True)
class Census:
    """Tensors and values that every folder of one format has; what a folder may lack is not counted.

    ``parameters`` are the values that learn by gradient: all but the selection biases. They differ from the
    parameters of our module where a format stores zeros of no use (A.X K2's fused query and gate).
    """

    format: str
    tensors: int
    values: int
    parameters: int
    bytes: int

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return asdict(self)


def census(config: ModelConfig) -> Census:
    """Count the released form of ``config``; raises :class:`ConfigError` where no house has released such a form."""
    family, _ = format_for(config)
    stored = [
        (math.prod(tensor.shape), entry.keeps_float32)
        for entry in family.entries(config)
        if entry.default is None
        for tensor in entry.stored
    ]
    values = sum(count for count, _ in stored)
    biases = sum(count for count, is_bias in stored if is_bias)
    return Census(
        format=family.name,
        tensors=len(stored),
        values=values,
        parameters=values - biases,
        bytes=BYTES_PER_VALUE * (values - biases) + BYTES_PER_BIAS * biases,
    )


def released_forms(config: ModelConfig) -> dict[str, Census]:
    """The censuses ``with_multi_token`` (where there is such a block) and ``without_multi_token``.

    Empty where no released format has these mechanisms together.
    """
    bare = replace(config, multi_token=NoMultiToken("none"))
    forms = {"without_multi_token": bare}
    if config.multi_token.steps:
        forms["with_multi_token"] = config
    try:
        return {name: census(form) for name, form in forms.items()}
    except ConfigError:
        return {}
