"""Do the weights of one model derive from another's? A verdict for each sub-module and for the whole.

python -m experiments.audit a=runs/first_race/llama-s0 b=runs/first_race/llama-s1
python -m experiments.audit a=released/one b=released/other references=[released/c,released/d,...] format=json
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig
from rich.console import Console

from experiments.command import run_command
from lab.config import typed
from lab.errors import ConfigError
from lab.independence.config import AuditConfig

if TYPE_CHECKING:
    from lab.independence.weights import Weights


@dataclass
class AuditSettings:
    """See ``conf/audit.yaml``."""

    a: str
    b: str
    audit: AuditConfig
    references: list[str]
    probe: str | None
    format: str

    def __post_init__(self) -> None:
        if self.format not in ("table", "markdown", "json"):
            raise ConfigError(f"format={self.format} is unknown: it can be table, markdown or json.")
        if 0 < len(self.references) < 4:
            raise ConfigError(
                f"references={self.references} cannot be used: it must be empty or name at least four folders, "
                "which give ten pairs and more."
            )
        if self.probe is not None and not Path(self.probe).is_file():
            raise ConfigError(f"probe={self.probe} cannot be used: it must be a text file.")


def audit_pair(container: DictConfig, overrides: list[str]) -> None:
    """Compare the two folders and print the verdicts; progress goes to standard error."""
    settings: AuditSettings = typed(container, AuditSettings)
    from lab.independence.audit import audit
    from lab.independence.weights import open_pair, open_weights

    pair = open_pair(settings.a, settings.b)
    references = [
        open_weights(folder, f"references[{place}]") for place, folder in enumerate(settings.references)
    ]
    seeds = [_begin(weights) for weights in (*pair, *references)][:2]
    with Console(stderr=True).status("opening") as status:
        result = audit(
            *pair,
            settings.audit,
            references,
            lambda part: status.update(f"testing {part}"),
        )
    likeness = _likeness(settings) if settings.probe is not None else None
    if settings.format == "json":
        print(json.dumps(asdict(result) | {"representation": likeness}, ensure_ascii=False))
        return
    from lab.report.independence import findings_table, remarks, verdicts_table
    from lab.report.tables import to_console, to_markdown

    for table in (verdicts_table(result), findings_table(result)):
        if settings.format == "markdown":
            print(to_markdown(table))
        else:
            Console().print(to_console(table, max(Console().width, 60)))
    said = (
        []
        if likeness is None
        else [
            f"Hidden states on the probe: CKA {likeness['cka']:.3f}, with an untrained model of b's shape "
            f"{likeness['untrained']:.3f}; likeness of texts, no evidence of origin."
        ]
    )
    if Path(settings.a).resolve() == Path(settings.b).resolve():
        said.append("Both are the same folder: a comparison with itself says nothing.")
    elif None not in seeds and seeds[0] == seeds[1]:
        said.append(f"Both runs say that they began at seed {seeds[0]}: a common draw is expected.")
    for remark in [*said, *remarks(result)]:
        print(remark, file=sys.stderr if settings.format == "markdown" else sys.stdout)


def _begin(weights: "Weights") -> int | None:
    """The seed of a run folder, whose tokenizer is looked up in the cache; None for other folders."""
    from lab.data.config import TextData
    from lab.data.corpus import corpus_directory
    from lab.face import is_run, load_config
    from lab.independence.weights import read_vocabulary
    from lab.job import cache_directory

    if not is_run(Path(weights.name)):
        return None
    config = load_config(Path(weights.name))
    if isinstance(config.data, TextData):
        corpus = corpus_directory(config.data, config.tokenizer, cache_directory())
        weights.vocabulary, weights.merges = read_vocabulary(corpus)
    return config.seed


def _likeness(settings: AuditSettings) -> dict[str, float]:
    """CKA of the two models on the lines of the probe, and that of the first with an untrained one."""
    from lab.face import load_with_tokenizer
    from lab.independence.representation import cka, last_states
    from lab.model.decoder import Decoder, initialise

    try:
        lines = Path(str(settings.probe)).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise ConfigError(f"probe={settings.probe} cannot be used: it must be UTF-8 text.") from None
    texts = [line for line in lines if line.strip()]
    if len(texts) < 8:
        raise ConfigError(f"probe={settings.probe} cannot be used: it must have at least 8 lines of text.")
    (a, reads_a), (b, reads_b) = load_with_tokenizer(settings.a), load_with_tokenizer(settings.b)
    untrained = initialise(Decoder(b.config), settings.audit.seed + 1).eval()
    states = last_states(a, reads_a.encode, texts)
    return {
        "cka": cka(states, last_states(b, reads_b.encode, texts)),
        "untrained": cka(states, last_states(untrained, reads_b.encode, texts)),
    }


if __name__ == "__main__":
    run_command(audit_pair, "audit")
