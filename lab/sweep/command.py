"""What ``-m`` asks for: an ablation by name, or lists of values whose combinations are the variants."""

import hashlib
import itertools
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from lab.errors import ConfigError
from lab.overrides import CONF, compose_container, readable
from lab.schema import build_typed
from lab.sweep.config import AblationConfig
from lab.sweep.jobs import Sweep, compose_sweep


def sweep_of_command(overrides: Sequence[str]) -> Sweep:
    """The sweep that the overrides of a command line with ``-m`` describe.

    Raises :class:`ConfigError` where they cannot be used.
    """
    parsed = OverridesParser.create().parse_overrides([readable(text) for text in overrides])
    swept = [override for override in parsed if override.is_sweep_override()]
    shared = [text for text, override in zip(overrides, parsed, strict=True) if override not in swept]
    named = next((override for override in parsed if override.key_or_group == "ablation"), None)
    if named is None:
        return _sweep_of_lists(shared, swept)
    if swept:
        raise ConfigError(
            f"{swept[0].input_line} cannot be used: ablation={named.value()} names its own variants and seeds "
            "(ablation.seeds=[...] sets others)."
        )
    return sweep_of_ablation(str(named.value()), shared)


def sweep_of_ablation(name: str, overrides: Sequence[str] = ()) -> Sweep:
    """The sweep of ``conf/ablation/<name>.yaml``, with ``overrides`` on all its runs."""
    named = [f"ablation={name}"]
    shared = [*named, *(text for text in overrides if text != named[0])]
    container = compose_container(shared)
    node = OmegaConf.to_container(container.ablation, resolve=True)
    ablation: AblationConfig = build_typed(AblationConfig, node, {}, "ablation")
    own = [text for text in shared if not text.lstrip("+~").startswith("ablation.")]
    return compose_sweep(container.name or name, ablation, own)


def _sweep_of_lists(shared: Sequence[str], swept: Sequence[Override]) -> Sweep:
    """Variants are the combinations of all lists of values but the seeds'; the first is the baseline."""
    choices: list[list[tuple[str, str]]] = []
    seeds: list[int] | None = None
    for override in swept:
        if not override.is_discrete_sweep():
            raise ConfigError(f"{override.input_line} cannot be swept: give a list of values, key=a,b.")
        key = override.get_key_element()
        values = [str(value) for value in override.sweep_string_iterator()]
        if key == "seed":
            seeds = [int(value) for value in values if value.isdecimal()]
            if len(seeds) < len(values):
                raise ConfigError(f"{override.input_line} cannot be used: a seed is a whole number.")
        else:
            choices.append([(key, value) for value in values])
    container = compose_container(shared)
    variants = {}
    for combination in itertools.product(*choices):
        name = "-".join(_word(key, value) for key, value in combination) or container.model.name
        if name in variants:
            raise ConfigError(f"{name} is named twice: each value of a sweep must be a different one.")
        variants[name] = [f"{key}={value}" for key, value in combination]
    asked = " ".join(str(override.input_line) for override in swept) or "one run"
    ablation = AblationConfig(
        question=f"How do they compare: {asked}?",
        baseline=next(iter(variants)),
        variants=variants,
        seeds=[container.seed] if seeds is None else seeds,
    )
    sweep = compose_sweep(container.name or "sweep", ablation, shared)
    if container.name:
        return sweep
    prints = " ".join(job.fingerprint for job in sweep.compare_jobs(dict.fromkeys(variants)))
    digits = hashlib.sha256(prints.encode()).hexdigest()[:8]
    return Sweep(f"sweep/{digits}", sweep.output, ablation, sweep.cells)


def _word(key: str, value: str) -> str:
    """A combination's part in a variant's name: the option of a group, else the setting and its value."""
    if (CONF / key).is_dir():
        return value
    safe = "".join(letter if letter.isalnum() or letter in "._+-" else "_" for letter in value)
    return f"{key.lstrip('+~').rsplit('.', 1)[-1]}_{safe}"
