"""Behind :mod:`lab`: build a model, or load a trained one."""

from pathlib import Path

import yaml

from lab.config import KINDS, Config, from_plain
from lab.data.corpus import corpus_directory
from lab.data.tokenizer import Tokenizer
from lab.errors import ConfigError
from lab.job import cache_directory
from lab.model.checkpoint.companions import token_ids
from lab.model.checkpoint.reader import Checkpoint, decoder_of, open_ours, open_released
from lab.model.checkpoint.writer import OUR_CONFIG
from lab.model.config import ModelConfig
from lab.model.decoder import Decoder, initialise
from lab.schema import build_typed
from lab.trainer.checkpoint import newest_checkpoint

RUN_CONFIG = "config.yaml"


def build(config: Config) -> Decoder:
    """The model of ``config`` with initial weights drawn from ``config.seed``, on the CPU in float32."""
    return initialise(Decoder(config.model), config.seed)


def load(directory: str | Path) -> Decoder:
    """The model of a checkpoint folder in float32 on the CPU; see :func:`open_checkpoint` for what it may hold."""
    return decoder_of(open_checkpoint(directory))


def load_with_tokenizer(directory: str | Path) -> tuple[Decoder, Tokenizer]:
    """The model of a checkpoint folder and its tokenizer; see :func:`open_checkpoint` and :func:`load_tokenizer`."""
    checkpoint = open_checkpoint(directory)
    tokenizer = load_tokenizer(directory)
    if tokenizer.vocab_size > checkpoint.config.vocab_size:
        raise ConfigError(
            f"checkpoint={directory} cannot be used: its tokenizer has {tokenizer.vocab_size} tokens, "
            f"its model {checkpoint.config.vocab_size}."
        )
    return decoder_of(checkpoint), tokenizer


def open_checkpoint(directory: str | Path) -> Checkpoint:
    """Open a checkpoint folder without reading its numbers.

    It is one of three: a run folder (``config.yaml``; the newest valid of ``checkpoints/``), a released checkpoint
    (``config.json``), or one that ``experiments.convert`` wrote under our own names (``model.yaml``). Raises
    :class:`ConfigError` where it is none of them, or damaged.
    """
    folder = Path(directory)
    if is_run(folder):
        checkpoint = newest_checkpoint(folder)
        if checkpoint is None:
            raise ConfigError(
                f"checkpoint={directory} holds no valid checkpoint: let the run write one first."
            )
        return open_ours(checkpoint, load_config(folder).model)
    if (folder / OUR_CONFIG).is_file():
        return open_ours(folder, _model_config(folder / OUR_CONFIG))
    if (folder / "config.json").is_file():
        return open_released(folder)
    raise ConfigError(
        f"checkpoint={directory} is neither a run folder nor a released checkpoint: it must hold {RUN_CONFIG} "
        f"and checkpoints/, or config.json, or {OUR_CONFIG}."
    )


def is_run(folder: Path) -> bool:
    """Whether a folder is a training run's."""
    return (folder / RUN_CONFIG).is_file()


def load_tokenizer(directory: str | Path) -> Tokenizer:
    """The tokenizer of a checkpoint folder: a run's from the corpus it was trained on, else ``tokenizer.json``.

    Raises :class:`ConfigError` where a run's corpus is no longer in the cache, or the numbers of the special tokens
    are nowhere in the folder.
    """
    folder = Path(directory)
    if is_run(folder):
        config = load_config(folder)
        corpus = corpus_directory(config.data, config.tokenizer, cache_directory())
        if not corpus.is_dir():
            raise ConfigError(
                f"checkpoint={directory} needs the tokenizer in {corpus}: run experiments.train once more."
            )
        return Tokenizer.load(corpus)
    ids = {key: value[0] if isinstance(value, list) else value for key, value in token_ids(folder).items()}
    for key in ("bos_token_id", "eos_token_id"):
        if key not in ids:
            raise ConfigError(
                f"checkpoint={directory} does not say which token it begins and ends with: config.json or "
                f"generation_config.json must hold {key}."
            )
    end = ids["eos_token_id"]
    return Tokenizer.load_released(folder, ids.get("pad_token_id", end), ids["bos_token_id"], end)


def load_config(run: Path) -> Config:
    """The typed configuration of a run folder."""
    return from_plain(yaml.safe_load((run / RUN_CONFIG).read_text(encoding="utf-8")))


def _model_config(path: Path) -> ModelConfig:
    try:
        return build_typed(ModelConfig, yaml.safe_load(path.read_text(encoding="utf-8")), KINDS)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} cannot be read: it must be a YAML file.") from error
