"""Texts in, texts out: whole characters only, and an end at stop strings."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from lab.model.generate.decode import decode
from lab.model.generate.rows import Rows
from lab.model.generate.speculative import Speculation
from lab.model.sampling import Sampling, require_text

if TYPE_CHECKING:
    from lab.model.decoder import Decoder

REPLACEMENT = "\ufffd"
"""What decoders write for bytes that are no UTF-8, and for a character whose last bytes are still to come."""


class TextTokenizer(Protocol):
    """What text generation needs of a tokenizer; either number can be None where there is no such token."""

    @property
    def begin_id(self) -> int | None: ...

    @property
    def end_id(self) -> int | None: ...

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...


class Characters:
    """Tokens to text, in order, never half a character.

    Tokens are decoded behind those before them, as some tokenizers write a token differently at the beginning.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], before: Sequence[int]) -> None:
        self._decode = decode
        self._before, self._pending = list(before), list[int]()
        self._given = 0
        """Characters of the pending tokens that were given out."""

    def add(self, tokens: Sequence[int], last: bool) -> str:
        """The text that ``tokens`` complete; with ``last`` all that is left."""
        self._pending += tokens
        text = self._decode(self._before + self._pending)[len(self._decode(self._before)) :]
        whole = text if last else text.rstrip(REPLACEMENT)
        piece, self._given = whole[self._given :], max(self._given, len(whole))
        if whole == text and self._pending:
            self._before, self._pending, self._given = self._pending, [], 0
        return piece


class StopStrings:
    """Text up to the first of some strings; holds back what may yet become one of them."""

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = strings
        self._held = ""
        self.found = False

    def add(self, text: str, last: bool) -> str:
        """The part of the text so far that is new and certain; with ``last`` nothing is held back."""
        if self.found:
            return ""
        text = self._held + text
        starts = [start for string in self._strings if (start := text.find(string)) >= 0]
        if starts:
            self.found, self._held = True, ""
            return text[: min(starts)]
        certain = len(text) if last else len(text) - self._may_become(text)
        self._held = text[certain:]
        return text[:certain]

    def _may_become(self, text: str) -> int:
        """The length of the longest end of ``text`` that begins one of the strings."""
        lengths = (n for string in self._strings for n in range(1, len(string)) if text.endswith(string[:n]))
        return max(lengths, default=0)


def stream_texts(
    model: "Decoder",
    tokenizer: TextTokenizer,
    prompts: Sequence[str],
    num_new: int,
    sampling: Sampling | None = None,
    stop: Sequence[str] = (),
    end_ids: Collection[int] = (),
    speculation: Speculation | None = None,
) -> Iterator[list[str]]:
    """What follows each of ``prompts``, a piece a row and forward pass; joined, the pieces are the whole.

    A row ends before the first of the strings in ``stop``, at the tokenizer's end of text or another of ``end_ids``,
    or after ``num_new`` tokens. Raises :class:`ConfigError` for a prompt or stop string that is empty or no valid
    text; see :func:`lab.model.generate.decode.continuations` for the rest.
    """
    for key, texts in (("prompt", prompts), ("stop", stop)):
        for text in texts:
            require_text(key, text)
    begin = [] if tokenizer.begin_id is None else [tokenizer.begin_id]
    ends = {*end_ids} if tokenizer.end_id is None else {tokenizer.end_id, *end_ids}
    rows = Rows([begin + tokenizer.encode(prompt) for prompt in prompts], num_new, ends, model.config)
    passes = decode(model, rows, sampling or Sampling(), speculation)
    return _pieces(rows, passes, tokenizer, stop, ends)


def _pieces(
    rows: Rows, passes: Iterator[None], tokenizer: TextTokenizer, stop: Sequence[str], ends: Collection[int]
) -> Iterator[list[str]]:
    characters = [Characters(tokenizer.decode, prompt) for prompt in rows.prompts]
    stops = [StopStrings(stop) for _ in rows.prompts]
    read = [0] * len(rows.prompts)
    for _ in passes:
        pieces = []
        for row, produced in enumerate(rows.produced):
            new, read[row] = produced[read[row] :], len(produced)
            last = not rows.is_open[row]
            text = characters[row].add([token for token in new if token not in ends], last)
            pieces.append(stops[row].add(text, last))
            if stops[row].found:
                rows.close(row)
        yield pieces


def stream_text(
    model: "Decoder",
    tokenizer: TextTokenizer,
    prompt: str,
    num_new: int,
    sampling: Sampling | None = None,
    stop: Sequence[str] = (),
    end_ids: Collection[int] = (),
    speculation: Speculation | None = None,
) -> Iterator[str]:
    """What follows ``prompt``, piece by piece; see :func:`stream_texts`."""
    passes = stream_texts(model, tokenizer, [prompt], num_new, sampling, stop, end_ids, speculation)
    return (piece for (piece,) in passes if piece)


def generate_texts(
    model: "Decoder",
    tokenizer: TextTokenizer,
    prompts: Sequence[str],
    num_new: int,
    sampling: Sampling | None = None,
    stop: Sequence[str] = (),
    end_ids: Collection[int] = (),
    speculation: Speculation | None = None,
) -> list[str]:
    """Each of ``prompts`` with what follows it; see :func:`stream_texts`."""
    passes = stream_texts(model, tokenizer, prompts, num_new, sampling, stop, end_ids, speculation)
    return [prompt + "".join(row) for prompt, row in zip(prompts, zip(*passes, strict=True), strict=True)]
