"""What a configuration trains on: a corpus of texts or a synthetic task, and the batches of either."""

from collections.abc import Callable
from pathlib import Path

from lab.data.config import DataConfig, RecallData, TokenizerConfig
from lab.data.corpus import Corpus, prepare, texts_of
from lab.data.loader import Loader
from lab.data.recall import RecallLoader, RecallTask

TrainingData = Corpus | RecallTask


def prepare_training_data(
    data: DataConfig, tokenizer: TokenizerConfig, cache: Path, progress: Callable[[str], None] = print
) -> TrainingData:
    """What ``data`` configures; texts are built in ``cache`` on first use, see :func:`~lab.data.corpus.prepare`."""
    if isinstance(data, RecallData):
        return RecallTask(tuple(data.num_pairs), data.num_keys)
    return prepare(data, tokenizer, cache, progress)


def open_loader(
    source: TrainingData, data: DataConfig, sequence_length: int, batch_size: int, seed: int
) -> Loader | RecallLoader:
    """Training batches from the start, ``batch_size`` rows of ``sequence_length`` tokens each.

    ``source`` is what :func:`prepare_training_data` made of ``data``. Raises
    :class:`~lab.errors.ConfigError` as the loaders do.
    """
    if isinstance(source, RecallTask):
        return RecallLoader(source, sequence_length, batch_size, seed)
    return Loader(source, sequence_length, batch_size, texts_of(data).mixture, seed)
