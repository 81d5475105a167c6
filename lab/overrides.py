"""Hydra composition with every override checked first, so that a mistake is named with the nearest valid word."""

import difflib
import typing
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from lab.errors import ConfigError

CONF = Path(__file__).resolve().parent.parent / "conf"


def compose_container(overrides: Iterable[str] = (), root: str = "config") -> DictConfig:
    """What Hydra composes from ``conf/<root>.yaml`` and ``overrides``, before typing.

    Raises :class:`ConfigError` for an override that cannot be read, an unknown option or an unknown key.
    """
    overrides = [readable(override) for override in overrides]
    with _hydra():
        try:
            return hydra_compose(root, overrides)
        except (HydraException, OmegaConfBaseException, ValueError) as error:  # ValueError: group=null
            _explain(overrides, root)
            raise ConfigError(one_sentence(error)) from error


def _explain(overrides: list[str], root: str) -> None:
    """Raise the :class:`ConfigError` for the first override that names an unknown option or key, if one does."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    groups = [override for override in parsed if _is_group(override.key_or_group)]
    for override in groups:
        _check_option(override)
    known = set(_keys(hydra_compose(root, [str(override.input_line) for override in groups])))
    for override in parsed:
        if override not in groups and not override.is_add() and not override.is_delete():
            _check_key(override.key_or_group, known)


def readable(override: str) -> str:
    """``override`` as Hydra's grammar can read it: a value with letters beyond ASCII is put in quotes."""
    if _parses(override):
        return override
    key, equals, value = override.partition("=")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    quoted = f'{key}{equals}"{escaped}"'
    if equals and _parses(quoted):
        return quoted
    raise ConfigError(f"The override {override} cannot be read: it is written key=value.")


def first_of_lists(overrides: Iterable[str]) -> list[str]:
    """``overrides`` with every list of values to sweep over, ``key=a,b``, replaced by its first value."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return [
        f"{override.get_key_element()}={next(override.sweep_string_iterator())}"
        if override.is_discrete_sweep()
        else str(override.input_line)
        for override in parsed
    ]


def _parses(override: str) -> bool:
    try:
        OverridesParser.create().parse_overrides([override])
    except HydraException:
        return False
    return True


@contextmanager
def _hydra() -> Iterator[None]:
    """Hydra initialised on ``conf/``, whatever was initialised before (a notebook's, a running command's)."""
    outer = GlobalHydra.instance().hydra
    GlobalHydra.instance().hydra = None
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            yield
    finally:
        GlobalHydra.instance().hydra = outer


def _is_group(key: str) -> bool:
    return (CONF / key.split("@")[0]).is_dir()


def _check_option(override: Override) -> None:
    group, option = override.key_or_group.split("@")[0], override.value()
    if override.is_delete():
        return
    if option is None:
        raise ConfigError(f"{group}=null cannot be used: leave {group} out, or take it away with ~{group}.")
    options = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    if not isinstance(option, str) or option not in options:
        near = difflib.get_close_matches(str(option), options, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        more = ", and others with the extra launchers installed" if group == "hydra/launcher" else ""
        raise ConfigError(
            f"{group}={option} is not an option{hint}: {group} can be {', '.join(options)}{more}."
        )


def _check_key(key: str, known: set[str]) -> None:
    if key not in known and not key.startswith("hydra"):
        unknown_key(key, sorted(known))


def unknown_key(key: str, valid: list[str]) -> typing.NoReturn:
    """Raise the :class:`ConfigError` for a key that is not among ``valid``, naming the nearest one."""
    tail = key.rsplit(".", 1)[-1]
    near = difflib.get_close_matches(key, valid, n=1, cutoff=0.5) or [
        name for name in valid if difflib.SequenceMatcher(None, tail, name.rsplit(".", 1)[-1]).ratio() > 0.7
    ]
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(valid[:12])}."
    raise ConfigError(f"{key} is not a setting: {hint}")


def _keys(node: DictConfig, prefix: str = "") -> Iterator[str]:
    """Every dotted key below ``node``, groups included, unresolved."""
    for key in map(str, node):
        yield f"{prefix}{key}"
        child = node._get_node(key)
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_missing():
            yield from _keys(child, f"{prefix}{key}.")


def one_sentence(error: Exception) -> str:
    """The first lines of a library's message, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])
