"""Every data and tokenizer file says what its dataclass takes, and what cannot be is named."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.data.config import (
    DataConfig,
    ExercisesData,
    FolderData,
    HubData,
    HubDataset,
    PackagesData,
    RecallData,
    TokenizerConfig,
)
from lab.errors import ConfigError

CONF = Path(__file__).resolve().parents[2] / "conf"
CLASSES: dict[str, type] = {
    "data/packages": PackagesData,
    "data/exercises": ExercisesData,
    "data/folder": FolderData,
    "data/hub": HubData,
    "data/recall": RecallData,
    "tokenizer/byte_bpe": TokenizerConfig,
}


@pytest.mark.parametrize("name", CLASSES)
def test_a_file_gives_every_setting_and_says_what_it_is(name: str) -> None:
    text = (CONF / f"{name}.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text).keys() == {field.name for field in dataclasses.fields(CLASSES[name])}
    assert text.startswith("# ")


def test_every_file_is_tested() -> None:
    files = {
        f"{group}/{path.stem}" for group in ("data", "tokenizer") for path in (CONF / group).glob("*.yaml")
    }
    assert files == CLASSES.keys()


def test_languages_are_those_with_weight() -> None:
    assert PackagesData("packages", {"code": 1.0, "ko": 2.0, "en": 0.0}).languages == ("ko", "code")


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (
            PackagesData,
            {"mixture": {"fr": 1.0}},
            "data.mixture={'fr': 1.0} cannot be used: its keys must be among ko",
        ),
        (
            PackagesData,
            {"mixture": {"ko": 0.0}},
            "data.mixture={'ko': 0.0} cannot be used: weights must be at least 0",
        ),
        (PackagesData, {"mixture": {"ko": 2.0, "en": -1.0}}, "weights must be at least 0"),
        (
            PackagesData,
            {"held_out_fraction": 0.0},
            "data.held_out_fraction=0.0 cannot be used: it must be above 0",
        ),
        (PackagesData, {"held_out_fraction": 0.9}, "data.held_out_fraction=0.9"),
        (ExercisesData, {"share": 0.0}, "data.share=0.0"),
        (ExercisesData, {"share": 1.0}, "data.share=1.0"),
        (FolderData, {"path": " "}, "data.path=' ' cannot be used: it must be a folder of text files."),
        (FolderData, {"path": "p", "text_field": ""}, "data.text_field='' cannot be used"),
        (HubData, {"sources": {}}, "data.sources=[] cannot be used: it needs one data set or more"),
        (HubData, {"sources": {"fr": None}}, "data.sources=['fr'] cannot be used"),
    ],
)
def test_what_cannot_be_used_is_named(make: type[DataConfig], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(kind="any", **settings)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"revision": "main", "max_documents": 5},
            "data.sources.*.revision=main cannot be used: it must be a commit",
        ),
        ({"revision": "0" * 40, "max_documents": 1}, "data.sources.*.max_documents=1 cannot be used"),
    ],
)
def test_hub_data_sets_are_pinned_and_capped(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        HubDataset("somebody/texts", **settings)
    assert message in str(caught.value)


@pytest.mark.parametrize(("kind", "size"), [("byte_bpe", 259), ("byte_bpe", 2**21), ("unigram", 4096)])
def test_tokenizer_limits(kind: str, size: int) -> None:
    with pytest.raises(
        ConfigError, match="tokenizer.kind=unigram" if kind == "unigram" else "tokenizer.vocab_size="
    ):
        TokenizerConfig(kind, size)
