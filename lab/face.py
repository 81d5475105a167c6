"""Behind :mod:`lab`: build a model, or load a trained one."""

from pathlib import Path

import yaml
from safetensors.torch import load_file

from lab.config import Config, from_plain
from lab.data.corpus import corpus_directory
from lab.data.tokenizer import Tokenizer
from lab.errors import ConfigError
from lab.job import cache_directory
from lab.model.checkpoint.reader import load_released
from lab.model.decoder import Decoder, initialise
from lab.trainer.checkpoint import newest_checkpoint


def build(config: Config) -> Decoder:
    """The model of ``config`` with initial weights drawn from ``config.seed``, on the CPU in float32."""
    return initialise(Decoder(config.model), config.seed)


def load(directory: str | Path) -> Decoder:
    """The trained model of a run folder, from its newest valid checkpoint, or of a released checkpoint.

    A run folder holds ``config.yaml``, a released checkpoint ``config.json`` (see :mod:`lab.model.checkpoint`).
    """
    run = Path(directory)
    if (run / "config.json").is_file():
        return load_released(run)
    if not (run / "config.yaml").is_file():
        raise ConfigError(
            f"checkpoint={directory} is neither a run folder nor a released checkpoint: it must hold config.yaml "
            "and checkpoints/, or config.json."
        )
    checkpoint = newest_checkpoint(run)
    if checkpoint is None:
        raise ConfigError(f"checkpoint={directory} holds no valid checkpoint: let the run write one first.")
    model = Decoder(load_config(run).model)
    model.load_state_dict(load_file(checkpoint / "model.safetensors"))
    return model.eval()


def load_with_tokenizer(directory: str | Path) -> tuple[Decoder, Tokenizer]:
    """The trained model of a run folder and the tokenizer it was trained with.

    Raises :class:`ConfigError` where the folder holds no model, or its corpus is no longer in the cache.
    """
    model = load(directory)
    config = load_config(Path(directory))
    corpus = corpus_directory(config.data, config.tokenizer, cache_directory())
    if not corpus.is_dir():
        raise ConfigError(
            f"checkpoint={directory} needs the tokenizer in {corpus}: run experiments.train once more."
        )
    return model, Tokenizer.load(corpus)


def load_config(run: Path) -> Config:
    """The typed configuration of a run folder."""
    return from_plain(yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8")))
