"""A folder in the cache is complete or absent, built once, and shared between processes."""

import threading
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from lab.data.config import FolderData, TokenizerConfig
from lab.data.corpus import prepare
from lab.data.storage import MANIFEST, build_once, key_of, read_manifest
from lab.errors import ConfigError


def build(folder: Path) -> dict[str, Any]:
    (folder / "part").write_text("content", encoding="utf-8")
    return {"what": "test"}


def fail(folder: Path) -> dict[str, Any]:
    (folder / "part").write_text("half", encoding="utf-8")
    raise KeyboardInterrupt


def silent(line: str) -> None:
    """No progress."""


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_a_complete_folder_is_reused(tmp_path: Path) -> None:
    target = tmp_path / "texts" / "key"
    manifest = build_once(target, tmp_path, build, silent)
    assert manifest["what"] == "test"
    assert manifest["files"]["part"]["bytes"] == 7
    assert build_once(target, tmp_path, fail, silent) == manifest == read_manifest(target)


def test_an_interrupted_build_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "texts" / "key"
    with pytest.raises(KeyboardInterrupt):
        build_once(target, tmp_path, fail, silent)
    assert visible(target.parent) == []


@pytest.mark.parametrize("damage", ["shorten", "remove", "manifest"])
def test_a_damaged_folder_is_built_again(tmp_path: Path, damage: str) -> None:
    target = tmp_path / "texts" / "key"
    build_once(target, tmp_path, build, silent)
    if damage == "shorten":
        (target / "part").write_text("con", encoding="utf-8")
    else:
        (target / ("part" if damage == "remove" else MANIFEST)).unlink()
    assert read_manifest(target) is None
    build_once(target, tmp_path, build, silent)
    assert (target / "part").read_text(encoding="utf-8") == "content"
    assert visible(target.parent) == ["key"]


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    target = tmp_path / "texts" / "key"
    (tmp_path / "texts" / ".partial-key").mkdir(parents=True)
    (tmp_path / "texts" / ".partial-key" / "half").write_text("x")
    build_once(target, tmp_path, build, silent)
    assert visible(target.parent) == ["key"]
    assert visible(target) == [MANIFEST, "part"]


def test_a_second_process_waits_and_says_so(tmp_path: Path) -> None:
    target = tmp_path / "texts" / "key"
    target.parent.mkdir()
    said = threading.Event()
    lines: list[str] = []

    def progress(line: str) -> None:
        lines.append(line)
        said.set()

    with FileLock(target.parent / ".key.lock"):
        second = threading.Thread(target=build_once, args=(target, tmp_path, build, progress))
        second.start()
        assert said.wait(10)
        assert not target.exists()
    second.join(10)
    assert lines == [f"waiting for another process that is building {target}"]
    assert read_manifest(target) is not None


def test_a_cache_that_cannot_be_written(
    data: FolderData, tokenizer_config: TokenizerConfig, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    cache.write_text("a file where a folder should be")
    with pytest.raises(ConfigError) as caught:
        prepare(data, tokenizer_config, cache)
    assert str(caught.value).startswith(f"LAB_CACHE={cache} cannot be written (")
    assert visible(tmp_path) == ["cache"]


def test_keys_follow_contents_only() -> None:
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1}) != key_of({"a": 1, "b": [3]})
