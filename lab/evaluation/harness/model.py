"""A decoder as a model of the LM Evaluation Harness: likelihoods of continuations and of texts, and generation.

Scores follow the harness's own ``hf`` type: a request too long for the model loses tokens on its left, a text longer
than the model is read in windows that score each token once. One thing differs: ``<|begin|>`` goes before every
context, as our models have met no text without it; ``add_bos_token=False`` leaves it away, as ``hf`` does where a
tokenizer adds none.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import normalize_gen_kwargs
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from rich.progress import Progress
from torch import Tensor

from lab.data.tokenizer import Tokenizer
from lab.errors import ConfigError
from lab.evaluation.likelihood import evaluating
from lab.model.decoder import Decoder
from lab.model.generate import Rows, Sampling, decode

Scored = tuple[tuple[str, str] | None, list[int], list[int]]
"""The texts of a request (None for a window of a longer text), its context and its continuation as tokens."""

SAMPLING_KEYS = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")


class HarnessModel(TemplateLM):
    """What the harness asks of ``model``, in batches of ``batch_size`` requests of like length.

    ``max_length`` is in tokens, by default ``model.max_positions``. Raises :class:`ConfigError` for a ``max_length``
    or ``batch_size`` that the model cannot take.
    """

    def __init__(
        self,
        model: Decoder,
        tokenizer: Tokenizer,
        batch_size: int = 16,
        max_length: int | None = None,
        add_bos_token: bool = True,
    ) -> None:
        super().__init__()
        positions = model.config.max_positions
        if max_length is not None and not 2 <= max_length <= positions:
            raise ConfigError(
                f"max_length={max_length} cannot be used: it must be 2 to model.max_positions={positions}."
            )
        if batch_size < 1:
            raise ConfigError(f"batch_size={batch_size} cannot be used: it must be at least 1.")
        self.model, self.lab_tokenizer = model, tokenizer
        self.batch_size, self.max_length = batch_size, max_length or positions
        self._add_bos = add_bos_token
        self._device = next(model.parameters()).device

    @property
    def eot_token_id(self) -> int:
        return self.lab_tokenizer.end_id

    @property
    def prefix_token_id(self) -> int:
        return self.lab_tokenizer.begin_id

    @property
    def tokenizer_name(self) -> str:
        """Names the tokenizer in the harness's cache of requests."""
        return f"lab-{self.lab_tokenizer.vocab_size}"

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        """Tokens of ``string``, with ``<|begin|>`` before them unless ``add_special_tokens`` is False."""
        begins = self._add_bos if add_special_tokens is None else add_special_tokens
        return [self.prefix_token_id] * begins + self.lab_tokenizer.encode(string)

    @torch.no_grad()
    def _loglikelihood_tokens(
        self, requests: Sequence[Scored], disable_tqdm: bool = False, **kwargs: Any
    ) -> list[tuple[float, bool]]:
        """Nats of each continuation, negated, and whether each of its tokens is the most probable one.

        Requests that feed the same tokens to the model, as answers of one token do, share a row.
        """
        rows: dict[tuple[int, ...], list[int]] = {}
        for index, (_, context, continuation) in enumerate(requests):
            if len(continuation) > self.max_length:
                raise ConfigError(
                    f"max_length={self.max_length} cannot be used: a continuation has {len(continuation)} tokens."
                )
            fed = (context + continuation)[-(self.max_length + 1) :][:-1]
            rows.setdefault(tuple(fed), []).append(index)
        order = sorted(rows, key=len, reverse=True)
        found: list[tuple[float, bool]] = [(0.0, True)] * len(requests)
        with evaluating(self.model), Progress(disable=disable_tqdm) as progress:
            bar = progress.add_task("likelihoods", total=len(requests))
            for start in range(0, len(order), self.batch_size):
                batch = order[start : start + self.batch_size]
                hidden = self._hidden(batch)
                for row, tokens in enumerate(batch):
                    for index in rows[tokens]:
                        texts, _, continuation = requests[index]
                        if continuation:
                            found[index] = self._score(hidden[row, : len(tokens)], continuation)
                        if texts is not None:
                            self.cache_hook.add_partial("loglikelihood", texts, found[index])
                        progress.advance(bar)
        return found

    def _hidden(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """``[B, T, D]``; padding stands behind the tokens, where none of them sees it."""
        tokens = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        for row, fed in enumerate(rows):
            tokens[row, : len(fed)] = torch.tensor(fed, dtype=torch.long)
        return self.model(tokens.to(self._device)).hidden

    def _score(self, hidden: Tensor, continuation: Sequence[int]) -> tuple[float, bool]:
        """``hidden [T, D]``, whose last places predict the continuation."""
        targets = torch.tensor(continuation, device=self._device)
        logits = self.model.head(hidden[-len(continuation) :]).float()
        nats = torch.nn.functional.cross_entropy(logits, targets, reduction="none").double().sum().item()
        return -nats, bool((logits.argmax(-1) == targets).all())

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """``(log-likelihood in nats, is greedy)`` of each continuation; an empty one is certain."""
        scored: list[Scored] = []
        for context, continuation in (request.args for request in requests):
            if context:
                before, after = self._encode_pair(context, continuation)
            else:
                before, after = [self.prefix_token_id], self.lab_tokenizer.encode(continuation)
            scored.append(((context, continuation), before or [self.prefix_token_id], after))
        return self._loglikelihood_tokens(scored, disable_tqdm)

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Log-likelihood in nats of each whole text after ``<|begin|>``; an empty text has 0."""
        windows: list[Scored] = []
        owners = []
        for owner, (text,) in enumerate(request.args for request in requests):
            rolling = get_rolling_token_windows(
                token_list=self.tok_encode(text, add_special_tokens=False),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.max_length,
                context_len=1,
            )
            for context, continuation in map(make_disjoint_window, rolling):
                windows.append((None, context, continuation))
                owners.append(owner)
        totals = [0.0] * len(requests)
        scores = self._loglikelihood_tokens(windows, disable_tqdm)
        for owner, (score, _) in zip(owners, scores, strict=True):
            totals[owner] += score
        for request, total in zip(requests, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return totals

    @torch.no_grad()
    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """What follows each context, up to its stop strings, the end of text or ``max_gen_toks`` (256) tokens."""
        groups: dict[str, list[int]] = {}
        for index, request in enumerate(requests):
            groups.setdefault(repr(sorted(request.args[1].items())), []).append(index)
        found = [""] * len(requests)
        with Progress(disable=disable_tqdm) as progress:
            bar = progress.add_task("generating", total=len(requests))
            for members in groups.values():
                members.sort(key=lambda index: len(requests[index].args[0]), reverse=True)
                for start in range(0, len(members), self.batch_size):
                    batch = members[start : start + self.batch_size]
                    contexts = [requests[index].args[0] for index in batch]
                    texts = self._continue(contexts, requests[batch[0]].args[1])
                    for index, text in zip(batch, texts, strict=True):
                        found[index] = text
                        self.cache_hook.add_partial("generate_until", requests[index].args, text)
                    progress.advance(bar, len(batch))
        return found

    def _continue(self, contexts: Sequence[str], settings: dict[str, Any]) -> list[str]:
        given: dict[str, Any] = dict(normalize_gen_kwargs(settings))
        stop = [string for string in given["until"] if string]
        room = self.max_length - given["max_gen_toks"]
        if room < 1:
            raise ConfigError(
                f"max_gen_toks={given['max_gen_toks']} cannot be used: it must be below max_length={self.max_length}."
            )
        prompts = [self.tok_encode(context)[-room:] or [self.prefix_token_id] for context in contexts]
        sampling = Sampling(**{key: given[key] for key in SAMPLING_KEYS if key in given})
        rows = Rows(prompts, given["max_gen_toks"], {self.eot_token_id}, self.model.config)
        for _ in decode(self.model, rows, sampling, None):
            for row, tokens in enumerate(rows.produced):
                if rows.is_open[row] and _first(stop, self.lab_tokenizer.decode(tokens)) is not None:
                    rows.close(row)
        texts = [self.lab_tokenizer.decode(tokens) for tokens in rows.produced]
        return [text[: _first(stop, text)] for text in texts]


def _first(stop: Iterable[str], text: str) -> int | None:
    """Where the first of the stop strings begins, None where there is none."""
    return min((start for string in stop if (start := text.find(string)) >= 0), default=None)
