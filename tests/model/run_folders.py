"""Run folders as training leaves them."""

from pathlib import Path

import yaml

import lab
from lab.config import Config, compose, plain
from lab.data.corpus import corpus_directory
from lab.data.tokenizer import Tokenizer
from lab.job import cache_directory
from lab.trainer.checkpoint import Progress, save_checkpoint
from lab.trainer.optimizer import build_optimizer

from .released_folders import TINY

TEXTS = [
    "대한민국의 주권은 국민에게 있고, 1948년 7월 17일 ",
    "def add(a, b):\n    return a + b\n",
    "<|end|> of it",
]


class NoLoader:
    def state(self) -> dict[str, int]:
        return {}

    def restore(self, state: dict[str, int]) -> None: ...


def run_folder(directory: Path, contender: str) -> Path:
    """A run folder as training leaves it, and the tokenizer in the cache."""
    config = compose([f"model={contender}", *TINY, "scale.router_groups_kept=1", "tracker=disabled"])
    model = lab.build(config)
    for router in model.routers():
        if config.model.name != "ax_k1":  # whose release has no bias
            router.selection_bias.normal_()
    directory.mkdir()
    (directory / "config.yaml").write_text(yaml.safe_dump(plain(config)))
    optimizer = build_optimizer(model, config.optimizer)
    save_checkpoint(directory / "checkpoints", Progress(step=1), model, optimizer, NoLoader(), keep=1)
    save_tokenizer(config)
    return directory


def save_tokenizer(config: Config) -> None:
    corpus = corpus_directory(config.data, config.tokenizer, cache_directory())
    corpus.mkdir(parents=True, exist_ok=True)
    Tokenizer.train(TEXTS * 3, vocab_size=300).save(corpus)
