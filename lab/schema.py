"""Dictionaries to dataclasses, strictly: unknown keys, missing keys and wrong types are refused by name."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from lab.errors import ConfigError
from lab.overrides import unknown_key

Kinds = Mapping[type, Mapping[str, type]]
"""Subclasses of a dataclass by the word that ``kind`` says."""


def build_typed(schema: type, value: Any, kinds: Kinds, path: str = "") -> Any:
    """An instance of dataclass ``schema``, or of the kind that ``value`` names, from the dictionary at ``path``.

    Raises :class:`ConfigError` in one sentence with the dotted key.
    """
    if not isinstance(value, dict):
        raise ConfigError(f"{path}={value} cannot be used: it is a group of settings.")
    schema = _class_of_kind(schema, value, kinds, path)
    fields = {field.name: field for field in dataclasses.fields(schema)}
    prefix = f"{path}." if path else ""
    for key in value:
        if key not in fields:
            unknown_key(f"{prefix}{key}", [f"{prefix}{name}" for name in fields])
    missing = [
        name
        for name, field in fields.items()
        if name not in value
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{prefix}{missing[0]} is missing: it must be given.")
    hints = typing.get_type_hints(schema)
    return schema(**{key: _convert(hints[key], item, kinds, f"{prefix}{key}") for key, item in value.items()})


def _class_of_kind(schema: type, value: dict[str, Any], kinds: Kinds, path: str) -> type:
    if schema not in kinds:
        return schema
    choices = kinds[schema]
    if value.get("kind") not in choices:
        raise ConfigError(
            f"{path}.kind={value.get('kind')} is unknown: it can be {', '.join(sorted(choices))}."
        )
    return choices[value["kind"]]


def _convert(hint: Any, value: Any, kinds: Kinds, key: str) -> Any:
    """``value`` as type ``hint``: a dataclass, a plain type, ``T | None``, ``list[T]`` or ``dict[K, V]``."""
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        return build_typed(hint, value, kinds, key)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        inner = next(argument for argument in arguments if argument is not type(None))
        return None if value is None else _convert(inner, value, kinds, key)
    if origin is list and isinstance(value, list):
        return [_convert(arguments[0], item, kinds, f"{key}.{index}") for index, item in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {
            _convert(arguments[0], _number_if_said(name, arguments[0]), kinds, key): _convert(
                arguments[1], item, kinds, f"{key}.{name}"
            )
            for name, item in value.items()
        }
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (int, float, str, bool) and type(value) is hint:
        return value
    expected = getattr(hint, "__name__", None) if origin is None else str(hint)
    raise ConfigError(f"{key}={value} cannot be used: it must be {_article(expected or str(hint))}.")


def _number_if_said(name: Any, hint: Any) -> Any:
    """A key of a dictionary: on a command line, ``windows.3=16``, even a number is a text."""
    return int(name) if hint is int and isinstance(name, str) and name.isdecimal() else name


def _article(name: str) -> str:
    words = {"int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false"}
    return words.get(name, f"a {name}")
