"""Small corpora, made from seeded random words, and the corpus that most tests share."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.data.config import FolderData, TokenizerConfig
from lab.data.corpus import Corpus, prepare

NOUNS = [
    "학교",
    "나무",
    "바다",
    "하늘",
    "도시",
    "법률",
    "세금",
    "주택",
    "기차",
    "음악",
    "시장",
    "은행",
    "병원",
    "가족",
]
VERBS = ["보았다", "지었다", "샀다", "팔았다", "읽었다", "불렀다", "찾았다", "만들었다", "그렸다", "옮겼다"]
WORDS = [
    "river",
    "market",
    "window",
    "letter",
    "garden",
    "winter",
    "paper",
    "doctor",
    "music",
    "bread",
    "cloud",
]


def korean(random_: random.Random, sentences: int) -> str:
    """A Korean text of ``sentences`` lines."""
    lines = []
    for _ in range(sentences):
        home, place, thing, other = random_.sample(NOUNS, 4)
        verb = random_.choice(VERBS)
        lines.append(f"{home}에서 온 사람이 {place} 옆 {thing} 앞에서 {other} 하나를 {verb}.")
    return "\n".join(lines)


def english(random_: random.Random, sentences: int) -> str:
    """An English text of ``sentences`` lines."""
    return "\n".join(
        f"The {random_.choice(WORDS)} near the {random_.choice(WORDS)} has {random_.randint(2, 99)} old "
        f"{random_.choice(WORDS)}s, a {random_.choice(WORDS)} and one {random_.choice(WORDS)}."
        for _ in range(sentences)
    )


def code(random_: random.Random, functions: int) -> str:
    """Python functions."""
    return "\n\n".join(
        f"def {random_.choice(WORDS)}_{number}({random_.choice(WORDS)}, limit={random_.randint(0, 999)}):\n"
        f"    return {random_.choice(WORDS)} + {random_.randint(0, 999)} * limit"
        for number in range(functions)
    )


def write_folder(folder: Path, documents: int = 30, seed: int = 0) -> Path:
    """A folder with ``documents`` files of each language, of very different lengths."""
    folder.mkdir(parents=True, exist_ok=True)
    random_ = random.Random(seed)
    writers: dict[str, Callable[[random.Random, int], str]] = {
        "ko.txt": korean,
        "en.md": english,
        "code.py": code,
    }
    for number in range(documents):
        for suffix, write in writers.items():
            text = write(random_, random_.choice((3, 4, 6, 12, 40)))
            (folder / f"{number:03d}.{suffix}").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> FolderData:
    return FolderData(
        kind="folder", path=str(write_folder(tmp_path_factory.mktemp("texts"))), held_out_fraction=0.1
    )


@pytest.fixture(scope="session")
def tokenizer_config() -> TokenizerConfig:
    return TokenizerConfig(kind="byte_bpe", vocab_size=400)


@pytest.fixture(scope="session")
def corpus(
    data: FolderData, tokenizer_config: TokenizerConfig, tmp_path_factory: pytest.TempPathFactory
) -> Corpus:
    return prepare(data, tokenizer_config, tmp_path_factory.mktemp("cache"))
