"""The hub tier through the real client, on a data set that lies on this machine."""

import json
import random
from pathlib import Path

import datasets
import pytest

from lab.data.config import HubData, HubDataset, TokenizerConfig
from lab.data.corpus import prepare
from lab.errors import ConfigError

from .conftest import english, korean

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hub")


def data_set(folder: Path, texts: list[str]) -> str:
    folder.mkdir()
    lines = (json.dumps({"text": text, "url": "u"}, ensure_ascii=False) for text in texts)
    (folder / "train.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return str(folder)


def hub(**sources: HubDataset) -> HubData:
    return HubData(kind="hub", sources=sources, mixture={"ko": 0.5, "en": 0.5}, held_out_fraction=0.1)


def test_documents_are_streamed_up_to_the_cap(tmp_path: Path) -> None:
    random_ = random.Random(0)
    texts = {"ko": [korean(random_, 4) for _ in range(30)], "en": [english(random_, 4) for _ in range(30)]}
    sources = {
        language: HubDataset(data_set(tmp_path / language, texts[language]), COMMIT, max_documents=cap)
        for language, cap in (("ko", 20), ("en", 99))
    }
    lines: list[str] = []
    corpus = prepare(hub(**sources), TokenizerConfig("byte_bpe", 300), tmp_path / "cache", lines.append)
    for language, count in (("ko", 20), ("en", 30)):
        documents = corpus.train(language) + corpus.held_out(language)
        assert {one.text for one in documents} == set(texts[language][:count])
        assert any(line == f"streaming {sources[language].dataset}" for line in lines)
    assert corpus.manifest["sources"][0]["revision"] == COMMIT


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    source = HubDataset(data_set(tmp_path / "ko", ["x"]), COMMIT, 5, text_field="content")
    with pytest.raises(
        ConfigError, match=r"data.sources.ko.text_field=content is not a field .* it has text, url\."
    ):
        prepare(hub(ko=source), TokenizerConfig("byte_bpe", 300), tmp_path / "cache")


def test_offline_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    source = HubDataset("nobody/no-such-data-set", COMMIT, 5)
    with pytest.raises(ConfigError) as caught:
        prepare(hub(ko=source), TokenizerConfig("byte_bpe", 300), tmp_path / "cache")
    message = str(caught.value)
    assert message.startswith("data.sources.ko.dataset=nobody/no-such-data-set could not be streamed (")
    assert "\n" not in message
    assert [
        path.name for path in (tmp_path / "cache" / "texts").iterdir() if not path.name.endswith(".lock")
    ] == []
