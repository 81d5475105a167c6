"""The measures of one trained model."""

from typing import Any

from lab.data.training import TrainingData
from lab.evaluation.config import EvaluationConfig
from lab.evaluation.measures.catalogue import MEASURES
from lab.model.decoder import Decoder
from lab.model.leaves.base import load


def take_measures(
    model: Decoder, corpus: TrainingData, config: EvaluationConfig, trained_length: int
) -> dict[str, Any]:
    """The figures of each of ``config.measures``, by name; ``trained_length`` is in tokens.

    Raises :class:`~lab.errors.ConfigError` where the model or the held-out text does not allow a measure.
    """
    return {
        name: load(MEASURES[name].path)(model, corpus, config, trained_length) for name in config.measures
    }
