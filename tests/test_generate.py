"""The command experiments.generate: what it prints, and what it refuses before a model is loaded."""

import subprocess
import sys
from pathlib import Path

import pytest

from experiments.generate import continue_prompt
from lab.data.tokenizer import Tokenizer
from lab.errors import ConfigError
from lab.overrides import compose_container
from tests.model.generation import small

ROOT = Path(__file__).resolve().parent.parent
KOREAN = "대한민국은 민주공화국이다."


def settings(**overrides: str) -> list[str]:
    chosen = {"checkpoint": "somewhere", "prompt": "대한", "new_tokens": "12", "device": "cpu"} | overrides
    return [f"{key}={value}" for key, value in chosen.items()]


def run(**overrides: str) -> None:
    words = settings(**overrides)
    continue_prompt(compose_container(words, "generate"), words)


@pytest.fixture
def checkpoint(monkeypatch: pytest.MonkeyPatch) -> Tokenizer:
    """A small model that ``checkpoint=somewhere`` names."""
    tokenizer = Tokenizer.train([KOREAN], vocab_size=270)
    model = small("k_exaone", vocab_size=270)
    monkeypatch.setattr("lab.face.load_with_tokenizer", lambda directory: (model, tokenizer))
    return tokenizer


@pytest.mark.usefixtures("checkpoint")
def test_the_prompt_and_what_follows_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Plainly, as it is no terminal; again with the same seed, otherwise with another."""
    outputs = []
    for seed in ("1", "1", "2"):
        run(seed=seed)
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] != outputs[2]
    assert outputs[0].startswith("대한")
    assert "\033" not in outputs[0]


@pytest.mark.usefixtures("checkpoint")
def test_a_terminal_shows_the_prompt_in_bold(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    run()
    assert capsys.readouterr().out.startswith("\033[1m대한\033[0m")


@pytest.mark.usefixtures("checkpoint")
def test_speculation_prints_the_same_and_what_it_came_to(capsys: pytest.CaptureFixture[str]) -> None:
    run(temperature="0")
    plain = capsys.readouterr()
    assert not plain.err
    run(temperature="0", speculative="true")
    speculative = capsys.readouterr()
    assert speculative.out == plain.out
    assert "drafts accepted" in speculative.err
    assert "tokens a forward pass" in speculative.err


def test_settings_reach_the_text(checkpoint: Tokenizer, capsys: pytest.CaptureFixture[str]) -> None:
    """Each by an effect that only it has."""
    run(temperature="0")
    greedy = capsys.readouterr().out
    for only_the_best in ({"top_k": "1"}, {"top_p": "1e-6"}, {"min_p": "1.0"}):
        run(temperature="1", **only_the_best)
        assert capsys.readouterr().out == greedy
    first = checkpoint.encode(greedy)[len(checkpoint.encode("대한"))]
    run(temperature="0", end_ids=f"[{first}]")
    assert capsys.readouterr().out == "대한\n"
    run(temperature="0", repetition_penalty="1e6")
    assert capsys.readouterr().out != greedy
    run(temperature="0", stop=f"['{greedy[3]}']")
    assert capsys.readouterr().out == greedy[: greedy.index(greedy[3], 2)] + "\n"


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("prompt", "", "it must hold at least one character"),
        ("stop", "['']", "it must hold at least one character"),
        ("new_tokens", "0", "it must be at least 1"),
        ("new_tokens", "-2", "it must be at least 1"),
        ("temperature", "-1.0", "it must be 0"),
        ("top_p", "0.0", "it must lie above 0"),
        ("end_ids", "[x]", "it must be a whole number"),
        ("speculative", "maybe", "it must be true or false"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(key: str, value: str, allowed: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{key}.* cannot be used: {allowed}[^.]*\.$"):
        run(**{key: value})


@pytest.mark.usefixtures("checkpoint")
def test_a_prompt_beyond_the_positions_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"new_tokens=2000 .* model.max_positions=1024\.$"):
        run(new_tokens="2000")


def test_bytes_that_are_no_text_end_the_command_with_a_sentence() -> None:
    words = [sys.executable, "-m", "experiments.generate", "checkpoint=somewhere", b"prompt=\xff\xfe"]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr == "error: prompt='\\udcff\\udcfe' cannot be used: it must be valid UTF-8.\n"
    assert not ended.stdout


def test_a_typo_waits_for_no_heavy_library() -> None:
    code = "import sys, experiments.generate; sys.exit(bool({'torch', 'tokenizers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0
