"""Every contender at its published size: layers, parameters, cache, and how near it comes to its reference.

python -m experiments.contenders
python -m experiments.contenders format=markdown
"""

import json
from dataclasses import asdict, dataclass

from omegaconf import DictConfig
from rich.console import Console

from experiments.command import run_command
from lab.config import compose, typed
from lab.errors import ConfigError
from lab.overrides import CONF
from lab.report.contenders import KNOWN
from lab.report.lineup import Entry, entry, lineup
from lab.report.parity import read_parity
from lab.report.tables import to_console, to_markdown

FORMATS = ("table", "markdown", "json")


@dataclass
class ContendersSettings:
    """``format`` is one of ``FORMATS``."""

    format: str

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ConfigError(f"format={self.format} is unknown: it can be {', '.join(FORMATS)}.")


def entries() -> dict[str, Entry]:
    """The row of every file in ``conf/model``, houses together."""
    found = {path.stem for path in (CONF / "model").glob("*.yaml")}
    ordered = [name for name in KNOWN if name in found] + sorted(found - set(KNOWN))
    parity = read_parity()
    return {
        name: entry(compose([f"model={name}", "scale=published"]).model, parity.get(name)) for name in ordered
    }


def show_contenders(container: DictConfig, overrides: list[str]) -> None:
    """Print the table."""
    settings: ContendersSettings = typed(container, ContendersSettings)
    if settings.format == "json":
        print(json.dumps({name: asdict(one) for name, one in entries().items()}))
    elif settings.format == "markdown":
        print(to_markdown(lineup(entries())), end="")
    else:
        console = Console()
        console.print(to_console(lineup(entries()), console.width))


if __name__ == "__main__":
    run_command(show_contenders, "contenders")
