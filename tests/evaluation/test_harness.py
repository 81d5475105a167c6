"""The harness's model type: slow twins of every request, and the same scores as the harness's own ``hf`` type."""

import json
import math
from pathlib import Path

import pytest
import torch

pytest.importorskip("lm_eval")

from lm_eval.api.instance import Instance

from experiments import harness
from lab.config import compose
from lab.data.tokenizer import SPECIAL_TOKENS, Tokenizer
from lab.errors import ConfigError
from lab.evaluation.harness.model import HarnessModel
from lab.harness import LabModel
from lab.model.checkpoint.writer import export_released
from lab.model.decoder import Decoder, initialise
from tests.evaluation.stand_ins import TINY

TEXTS = [
    "동해 물과 백두산이 마르고 닳도록",
    "The quick brown fox jumps over the lazy dog.",
    "def f(x): return x + 1",
]
PAIRS = [
    ("동해 물과", " 백두산이"),
    ("The quick ", "brown fox"),  # the blank at the end of a context belongs to the continuation
    ("The quick brown fox jumps", " over the lazy dog."),
    ("", "The lazy dog"),
    ("x", ""),
    *((f"Question: {TEXTS[0]} Answer:", f" {letter}") for letter in "ABCD"),
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(TEXTS * 4, vocab_size=300)


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    config = compose(["model=llama", *TINY])
    model = initialise(Decoder(config.model), seed=0)
    with torch.no_grad():  # far from uniform, so that a wrong place or token shows
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, decoder: Decoder, tokenizer: Tokenizer) -> Path:
    own = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save(own)
    names = dict(zip(("pad_token", "bos_token", "eos_token"), SPECIAL_TOKENS, strict=True))
    (own / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"} | names), encoding="utf-8"
    )
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    target = tmp_path_factory.mktemp("export") / "llama"
    return export_released(decoder, target, torch.float32, own, ids)


def asked(kind: str, *arguments: tuple) -> list[Instance]:
    return [Instance(kind, {}, one, index) for index, one in enumerate(arguments)]


def nats(model: Decoder, tokens: list[int], scored: int) -> float:
    """Nats of the last ``scored`` of ``tokens``, one row at a time."""
    losses = model.token_losses(torch.tensor([tokens[:-1]]), torch.tensor([tokens[1:]]))[0]
    return losses[len(losses) - scored :].double().sum().item()


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_likelihoods_are_sums_of_token_losses(
    decoder: Decoder, tokenizer: Tokenizer, batch_size: int
) -> None:
    model = HarnessModel(decoder, tokenizer, batch_size)
    found = model.loglikelihood(asked("loglikelihood", *PAIRS), disable_tqdm=True)
    for (context, continuation), (score, greedy) in zip(PAIRS, found, strict=True):
        whole = [1, *tokenizer.encode(context + continuation)]
        scored = len(whole) - len([1, *tokenizer.encode(context.rstrip())])
        assert score == pytest.approx(-nats(decoder, whole, scored) if scored else 0.0, abs=1e-3)
        best = decoder.logits(torch.tensor([whole]))[0].argmax(-1).tolist()
        assert greedy == (best[len(whole) - scored - 1 : -1] == whole[len(whole) - scored :])


def test_a_greedy_continuation_is_told(decoder: Decoder, tokenizer: Tokenizer) -> None:
    context = [1, *tokenizer.encode(TEXTS[0])]
    best = int(decoder.logits(torch.tensor([context]))[0, -1].argmax())
    model = HarnessModel(decoder, tokenizer)
    requests = [(None, context, [best]), (None, context, [best ^ 1])]
    (_, greedy), (_, other) = model._loglikelihood_tokens(requests, disable_tqdm=True)
    assert (greedy, other) == (True, False)


def test_a_long_context_loses_its_beginning(decoder: Decoder, tokenizer: Tokenizer) -> None:
    model = HarnessModel(decoder, tokenizer, max_length=8)
    context, continuation = TEXTS[1], " over the dog"
    ((score, _),) = model.loglikelihood(asked("loglikelihood", (context, continuation)), disable_tqdm=True)
    whole = tokenizer.encode(context + continuation)
    scored = len(whole) - len(tokenizer.encode(context))
    assert scored <= 8 < len(whole)
    assert score == pytest.approx(-nats(decoder, whole[-9:], scored), abs=1e-3)
    with pytest.raises(ConfigError, match="max_length=8 cannot be used: a continuation has"):
        model.loglikelihood(asked("loglikelihood", ("x", TEXTS[1] * 4)), disable_tqdm=True)


@pytest.mark.parametrize("max_length", [4, 7, 1024])
def test_rolling_scores_each_token_once(decoder: Decoder, tokenizer: Tokenizer, max_length: int) -> None:
    model = HarnessModel(decoder, tokenizer, batch_size=2, max_length=max_length)
    requests = asked("loglikelihood_rolling", *((text,) for text in (*TEXTS, "")))
    found = model.loglikelihood_rolling(requests, disable_tqdm=True)
    for text, score in zip((*TEXTS, ""), found, strict=True):
        tokens = [1, *tokenizer.encode(text)]
        total = 0.0
        for first in range(1, len(tokens), max_length):  # the last window is filled up on its left
            end = min(first + max_length, len(tokens))
            total -= nats(decoder, tokens[max(0, end - max_length - 1) : end], end - first)
        assert score == pytest.approx(total, abs=1e-3)


def test_generation_is_greedy_and_stops(decoder: Decoder, tokenizer: Tokenizer) -> None:
    contexts = ["동해 물과", "The", "def f(x): return"]
    model = HarnessModel(decoder, tokenizer, batch_size=2)
    settings = {"until": [], "max_gen_toks": 12}
    texts = model.generate_until(asked("generate_until", *((c, settings) for c in contexts)), True)
    for context, text in zip(contexts, texts, strict=True):
        tokens = [1, *tokenizer.encode(context)]
        start = len(tokens)
        while len(tokens) < start + 12 and tokens[-1] != tokenizer.end_id:
            tokens.append(int(decoder.logits(torch.tensor([tokens]))[0, -1].argmax()))
        assert text == tokenizer.decode(tokens[start:])
    long = max(texts, key=len)
    middle = long[len(long) // 2]
    stopped = model.generate_until(
        asked("generate_until", (contexts[texts.index(long)], settings | {"until": [middle]})), True
    )
    assert stopped == [long[: long.index(middle)]]
    with pytest.raises(ConfigError, match="max_gen_toks=99999 cannot be used"):
        model.generate_until(asked("generate_until", ("x", {"max_gen_toks": 99999})), True)


def test_the_same_checkpoint_scores_the_same_as_hf(folder: Path) -> None:
    from lm_eval.models.huggingface import HFLM

    ours = LabModel(str(folder), batch_size=4, device="cpu", add_bos_token=False)
    theirs = HFLM(str(folder), device="cpu", dtype="float32", batch_size=4, max_length=ours.max_length)
    pairs = [pair for pair in PAIRS if all(pair)] + [PAIRS[3]]
    mine = ours.loglikelihood(asked("loglikelihood", *pairs), disable_tqdm=True)
    hf = theirs.loglikelihood(asked("loglikelihood", *pairs), disable_tqdm=True)
    assert [score for score, _ in mine] == pytest.approx([score for score, _ in hf], abs=1e-3)
    assert [greedy for _, greedy in mine] == [greedy for _, greedy in hf]
    texts = asked("loglikelihood_rolling", *((text,) for text in TEXTS))
    assert ours.loglikelihood_rolling(texts, True) == pytest.approx(
        theirs.loglikelihood_rolling(texts, True), abs=1e-3
    )
    prompts = asked("generate_until", *((text, {"until": ["\n"], "max_gen_toks": 8}) for text in TEXTS))
    assert ours.generate_until(prompts, True) == theirs.generate_until(prompts, True)


def test_the_harness_finds_the_type_and_evaluates_a_task(folder: Path, tmp_path: Path) -> None:
    from lm_eval import simple_evaluate

    harness.register()
    harness.register()  # once more does no harm
    rows = [{"context": "동해 물과", "choices": [" 백두산이", " fox"], "answer": 0}] * 2
    data = tmp_path / "items.jsonl"
    data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    task = {
        "task": "items",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{context}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "answer",
        "target_delimiter": "",
    }
    arguments = f"checkpoint={folder},device=cpu"
    found = simple_evaluate("lab", arguments, [task], batch_size=2, bootstrap_iters=0)
    assert found is not None
    model = LabModel(str(folder), device="cpu")
    right, wrong = model.loglikelihood(
        asked("loglikelihood", ("동해 물과", " 백두산이"), ("동해 물과", " fox")), True
    )
    assert math.isclose(found["results"]["items"]["acc,none"], float(right[0] > wrong[0]))


def test_what_cannot_be_used_is_told(decoder: Decoder, tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="checkpoint is missing"):
        LabModel()
    with pytest.raises(ConfigError, match="is not a folder"):
        LabModel(str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="max_length=1 cannot be used"):
        HarnessModel(decoder, tokenizer, max_length=1)
    with pytest.raises(ConfigError, match="batch_size=0 cannot be used"):
        HarnessModel(decoder, tokenizer, batch_size=0)


def test_a_task_whose_data_is_not_here_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable() -> None:
        raise ConnectionError("Couldn't reach 'skt/kobest_v1' on the Hub")

    monkeypatch.setattr("lm_eval.__main__.cli_evaluate", unreachable)
    with pytest.raises(SystemExit) as ended:
        harness.main()
    assert ended.value.code == 2
    assert "skt/kobest_v1" in (told := capsys.readouterr().err)
    assert "HF_HOME" in told


def test_the_korean_suites_that_are_named_are_there() -> None:
    from lm_eval.tasks import TaskManager

    known = {*TaskManager().all_tasks}
    assert harness.__doc__ is not None
    assert {*harness.KOREAN_SUITES} <= known
    assert all(suite in harness.__doc__ for suite in harness.KOREAN_SUITES)
