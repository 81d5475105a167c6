"""Caches of every contender: any way of reading a text gives the scores of one pass over it, row by row."""

import pytest
import torch
from torch import Tensor

from lab.model.cache import Caches, Slots
from lab.model.decoder import Decoder
from lab.model.generate import Sampling, continuations
from tests.model.generation import CONTENDERS, logits_alone, random_rows, small

LENGTHS = (19, 7, 12)
CALLS = {  # tokens of each row in each call
    "token by token": [(1, 1, 1)] * 7 + [(1, 0, 1)] * 5 + [(1, 0, 0)] * 7,
    "odd chunks": [(7, 3, 5), (1, 1, 1), (3, 0, 5), (1, 1, 1), (7, 2, 0)],
    "prompts, then tokens": [(17, 5, 10), (1, 1, 1), (1, 1, 1)],
    "a long chunk behind a short one": [(2, 1, 3), (17, 6, 9)],
}
PADDING = 299  # a token like any other: only its position marks it


@torch.no_grad()
def read(
    model: Decoder, caches: Caches, rows: list[list[int]], counts: tuple[int, ...], seen: list[int], side: str
) -> list[Tensor]:
    """Let ``model`` read ``counts`` more tokens of ``rows``, padded on ``side``: scores ``[count, V]`` a row."""
    width = max(counts)
    tokens = torch.full((len(rows), width), PADDING)
    positions = torch.full((len(rows), width), -1)
    for row, count in enumerate(counts):
        where = slice(width - count, width) if side == "left" else slice(0, count)
        tokens[row, where] = torch.tensor(rows[row][seen[row] : seen[row] + count], dtype=torch.long)
        positions[row, where] = torch.arange(seen[row], seen[row] + count)
        seen[row] += count
    logits = model.head(model(tokens, positions=positions, caches=caches).hidden)
    return [scores[places >= 0] for scores, places in zip(logits, positions, strict=True)]


def assert_as_alone(model: Decoder, rows: list[list[int]], pieces: list[list[Tensor]]) -> None:
    for row, tokens in enumerate(rows):
        got = torch.cat([piece[row] for piece in pieces])
        torch.testing.assert_close(got, logits_alone(model, tokens), atol=1e-4, rtol=0)


@pytest.mark.parametrize("calls", CALLS)
@pytest.mark.parametrize("contender", CONTENDERS)
def test_reading_in_pieces_is_reading_at_once(contender: str, calls: str) -> None:
    """Rows of different lengths, padded behind their tokens; windows and selections are shorter than the rows."""
    model, rows, seen = small(contender), random_rows(*LENGTHS), [0, 0, 0]
    assert tuple(map(sum, zip(*CALLS[calls], strict=True))) == LENGTHS
    caches = model.new_caches(len(rows), max(LENGTHS))
    pieces = [read(model, caches, rows, counts, seen, "right") for counts in CALLS[calls]]
    assert_as_alone(model, rows, pieces)


@pytest.mark.parametrize("contender", CONTENDERS)
def test_prompts_may_be_padded_in_front(contender: str) -> None:
    model, rows, seen = small(contender), random_rows(*LENGTHS), [0, 0, 0]
    caches = model.new_caches(len(rows), max(LENGTHS))
    calls = ((16, 4, 9), (1, 1, 1), (2, 2, 2))
    assert_as_alone(model, rows, [read(model, caches, rows, counts, seen, "left") for counts in calls])


@pytest.mark.parametrize("first", [(13, 1, 6), (2, 3, 1)])
@pytest.mark.parametrize("contender", CONTENDERS)
def test_tokens_taken_back_leave_no_trace(contender: str, first: tuple[int, ...]) -> None:
    """Three tokens are read in vain twice; 0 to 3 of them stay, before and after the rings have gone round."""
    model, rows, seen = small(contender), random_rows(*LENGTHS), [0, 0, 0]
    caches = model.new_caches(len(rows), max(LENGTHS), revocable=3)
    pieces = [read(model, caches, rows, first, seen, "right")]
    caches.settle()
    for right in ((3, 0, 1), (0, 2, 1)):
        tried = [
            row[:at] + row[at : at + n] + [7, 8, 9] for row, at, n in zip(rows, seen, right, strict=True)
        ]
        got = read(model, caches, tried, (3, 3, 3), list(seen), "right")
        pieces.append([scores[:n] for scores, n in zip(got, right, strict=True)])
        seen = [at + n for at, n in zip(seen, right, strict=True)]
        caches.shorten(torch.tensor(seen))
        assert caches.length == max(seen)
    pieces.append(read(model, caches, rows, (1, 1, 1), seen, "right"))
    rest = tuple(length - at for length, at in zip(LENGTHS, seen, strict=True))
    pieces.append(read(model, caches, rows, rest, seen, "right"))
    assert_as_alone(model, rows, pieces)


@pytest.mark.parametrize(
    "sampling",
    [Sampling(), Sampling(temperature=1.0, top_k=40, top_p=0.95, repetition_penalty=1.2, seed=5)],
    ids=["greedy", "sampled"],
)
@pytest.mark.parametrize("contender", CONTENDERS)
def test_a_row_is_continued_as_it_is_alone(contender: str, sampling: Sampling) -> None:
    """Whatever its neighbours are; alone, row i has the seed that it has in the batch."""
    model, prompts = small(contender), random_rows(3, 13, 1, 8)
    together = continuations(model, prompts, 9, sampling)
    for row, prompt in enumerate(prompts):
        seeded = Sampling(**{**vars(sampling), "seed": sampling.seed + row})
        assert together[row] == continuations(model, [prompt], 9, seeded)[0]
    assert len({token for row in together for token in row}) > 9


def test_windows_keep_no_more_than_they_need() -> None:
    caches = small("k_exaone").new_caches(2, 100)
    sizes = {window: (slots.capacity, slots.ring) for window, slots in caches._slots.items()}
    assert sizes == {5: (5, True), None: (100, False)}
    revocable = small("k_exaone").new_caches(2, 100, revocable=4)
    assert {window: slots.capacity for window, slots in revocable._slots.items()} == {5: 9, None: 100}


def test_no_two_tokens_are_written_to_one_slot() -> None:
    """Which of them would stay is not defined on every device."""
    slots = Slots(batch=2, capacity=3, ring=True, device=torch.device("cpu"))
    slots.extend(torch.tensor([[*range(8)], [0, 1, *[-1] * 6]]), length=8, in_step=False)
    unseen = 3
    assert slots._targets.tolist() == [[*[unseen] * 5, 2, 0, 1], [0, 1, *[unseen] * 6]]


def test_more_tokens_than_were_asked_for_are_a_mistake_of_ours() -> None:
    model = small("llama")
    with pytest.raises(AssertionError, match="more tokens than the caches were made for"):
        model(torch.zeros(1, 4, dtype=torch.long), caches=model.new_caches(1, 3))


def test_settled_tokens_cannot_be_taken_back() -> None:
    model = small("solar_open_2")
    caches = model.new_caches(1, 8, revocable=2)
    model(torch.zeros(1, 4, dtype=torch.long), caches=caches)
    caches.settle()
    with pytest.raises(AssertionError, match="there to stay"):
        caches.shorten(torch.tensor([3]))
