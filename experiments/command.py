"""What every command shares: overrides checked first, then Hydra, then one sentence for what the user can mend."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from lab.errors import ConfigError
from lab.overrides import CONF, compose_container, first_of_lists, readable
from lab.trainer.stop import TrainingFailed

FLAGS_WITH_A_VALUE = (
    *("--cfg", "-c", "--info", "-i", "--package", "-p", "--config-name", "-cn"),
    *("--config-dir", "-cd", "--config-path", "-cp", "--experimental-rerun", "--shell-completion", "-sc"),
)

PRINTING_FLAGS = {"--help", "-h", "--hydra-help", "--cfg", "-c", "--info", "-i"}
"""With one of these a command only prints; a run must outlive whoever reads its output."""


def run_command(task: Callable[[DictConfig, list[str]], None], root: str = "config") -> None:
    """Run ``task(container, overrides)`` on the composition that the command line asks for.

    ``root`` is the primary file in ``conf/``. Hydra's own flags (``--help``, ``--cfg job``, ``--info``,
    ``--multirun``) work as ever. A :class:`ConfigError` ends the command with status 2 and one sentence.
    """

    def job(container: DictConfig) -> None:
        with ends_in_a_sentence():
            task(container, list(HydraConfig.get().overrides.task))

    with ends_in_a_sentence():
        refuse_bare_words(sys.argv[1:])
        sys.argv[1:] = [readable(word) if is_override(word) else word for word in sys.argv[1:]]
        overrides = [word for word in sys.argv[1:] if is_override(word)]
        sweeps = {"-m", "--multirun"} & set(sys.argv)
        compose_container(first_of_lists(overrides) if sweeps else overrides, root)
    if PRINTING_FLAGS & set(sys.argv) and hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # whoever reads may stop early, as head does
    hydra.main(version_base="1.3", config_path=str(CONF), config_name=root)(job)()


def refuse_bare_words(words: list[str]) -> None:
    """Raise :class:`ConfigError` for a word that is neither a setting, nor a flag, nor the value of one."""
    for before, word in zip(["", *words], words, strict=False):
        if not word.startswith("-") and not is_override(word) and before not in FLAGS_WITH_A_VALUE:
            raise ConfigError(f"{word} is not a setting: a setting is written key=value.")


def is_override(word: str) -> bool:
    """Whether a word of the command line is an override rather than a flag or a flag's value."""
    return not word.startswith("-") and ("=" in word or word.startswith("~"))


@contextmanager
def ends_in_a_sentence() -> Iterator[None]:
    """End the process with one sentence: status 2 for a :class:`ConfigError`, 1 where training cannot go on."""
    try:
        yield
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except TrainingFailed as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
