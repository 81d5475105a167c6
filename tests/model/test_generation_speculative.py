"""Self-speculative decoding: greedy's tokens, the drafts of training, honest counts."""

import pytest
import torch
from torch import Tensor

from lab.errors import ConfigError
from lab.model.context import Context
from lab.model.generate import Sampling, Speculation, continuations
from lab.model.generate.speculative import Drafter
from tests.model.generation import CONTENDERS, random_rows, small

OWN_HEAD = ("k_exaone", "k_exaone_2", "motif_3")
SWAPS = {
    "k_exaone": ["k_exaone"],
    "k_exaone with three steps": ["k_exaone", "model.multi_token.num_steps=3"],
    "k_exaone_2": ["k_exaone_2"],
    "motif_3": ["motif_3"],
    "solar_open_2": ["solar_open_2", "model/multi_token=shared_block", "model.multi_token.num_steps=2"],
    "ax_k2": ["ax_k2", "model/multi_token=hidden_first_block", "model.multi_token.num_steps=3"],
    "a head that recurs": [
        "solar_open_2",
        "model/attention=kimi_delta",
        "model/linear_attention=none",
        "model.layers.pattern=G",
        "model/multi_token=shared_block",
        "model.multi_token.num_steps=3",
    ],
}
FEW = 6  # tokens of the vocabulary: so few that an untrained head is right now and then
Drafts = list[list[int]]


@pytest.mark.parametrize("name", SWAPS)
def test_the_output_is_greedy_decodings(name: str) -> None:
    model = small(*SWAPS[name], vocab_size=FEW)
    prompts = random_rows(3, 17, 1, 8, vocab_size=FEW)
    count = Speculation()
    assert continuations(model, prompts, 18, speculation=count) == continuations(model, prompts, 18)
    assert 0 < count.accepted < count.drafted == count.passes * model.config.multi_token.steps
    assert 1 < count.tokens_per_pass < 1 + model.config.multi_token.steps


class PartlyRight(Drafter):
    """Writes greedy's own tokens instead of the head's; every so often one of them is wrong."""

    truth: Drafts
    share_right = 0.7

    def draft(self, text: Tensor, length: Tensor) -> None:
        super().draft(text, length)
        for row, whole in enumerate(self.truth):
            for place in range(int(length[row]) + 1, int(length[row]) + self._steps + 1):
                known = whole[place] if place < len(whole) else 0
                is_right = torch.rand(1, generator=self.generator).item() < self.share_right
                text[row, place] = known if is_right else 1 - min(known, 1)

    generator = torch.Generator()


@pytest.mark.parametrize("contender", CONTENDERS)
def test_whatever_is_drafted_the_output_is_greedy_decodings(
    contender: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every cache, taken back to every place: those without a head of their own are given one."""
    swap = [] if contender in OWN_HEAD else ["model/multi_token=shared_block"]
    model = small(contender, *swap, "model.multi_token.num_steps=3")
    prompts = random_rows(3, 13, 1)
    greedy = continuations(model, prompts, 16)
    monkeypatch.setattr(
        PartlyRight, "truth", [p + new for p, new in zip(prompts, greedy, strict=True)], False
    )
    PartlyRight.generator.manual_seed(2)
    monkeypatch.setattr("lab.model.generate.speculative.Drafter", PartlyRight)
    count = Speculation()
    assert continuations(model, prompts, 16, speculation=count) == greedy
    assert 0.3 < count.acceptance_rate < 0.8


def test_right_drafts_are_all_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """20 tokens a row: one from the prompt, then four a pass."""
    model, prompts = small("k_exaone", "model.multi_token.num_steps=3"), random_rows(4, 2)
    greedy = continuations(model, prompts, 21)
    monkeypatch.setattr(
        PartlyRight, "truth", [p + new for p, new in zip(prompts, greedy, strict=True)], False
    )
    monkeypatch.setattr(PartlyRight, "share_right", 1.1)
    monkeypatch.setattr("lab.model.generate.speculative.Drafter", PartlyRight)
    count = Speculation()
    assert continuations(model, prompts, 21, speculation=count) == greedy
    assert count == Speculation(passes=10, drafted=30, accepted=30)
    assert (count.acceptance_rate, count.tokens_per_pass) == (1.0, 4.0)


@pytest.mark.parametrize("name", SWAPS)
def test_drafts_are_what_the_head_says_in_one_pass(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches, places read again and refused drafts change no draft: step k is that of training over all tokens."""
    model = small(*SWAPS[name], vocab_size=FEW)
    checked = 0

    class Checked(Drafter):
        def draft(self, text: Tensor, length: Tensor) -> None:
            nonlocal checked
            super().draft(text, length)
            for row in range(len(text)):
                if (self._positions[row] >= 0).any():
                    place = int(length[row])
                    drafted = text[row, place + 1 : place + 1 + self._steps].tolist()
                    assert drafted == drafts_in_one_pass(text[row, : place + 1])
                    checked += 1

    @torch.no_grad()
    def drafts_in_one_pass(known: Tensor) -> list[int]:
        """The steps of training over all known tokens, each with the drafts of the steps before it."""
        read = len(known) - 1
        hidden = model(known[None, :read]).hidden
        context, drafts = Context(torch.arange(read).unsqueeze(0), None), list[int]()
        for k in range(1, model.config.multi_token.steps + 1):
            following = torch.cat([known, torch.tensor(drafts, dtype=torch.long)])[k:]
            hidden, _ = model.multi_token.step(hidden, model.embedding(following[None]), context)
            drafts.append(int(model.head(hidden[0, -1]).argmax()))
        return drafts

    monkeypatch.setattr("lab.model.generate.speculative.Drafter", Checked)
    count = Speculation()
    continuations(model, random_rows(3, 9, 1, vocab_size=FEW), 14, speculation=count)
    assert checked >= count.passes > 20


def test_an_end_of_text_among_the_drafts_ends_the_row() -> None:
    model, prompts = small("k_exaone_2", vocab_size=FEW), random_rows(3, 5, 2, 7, vocab_size=FEW)
    for end in range(0, FEW, 2):
        ended = continuations(model, prompts, 15, end_ids=[end], speculation=Speculation())
        assert ended == continuations(model, prompts, 15, end_ids=[end])


def test_a_notebook_gets_the_same_tokens() -> None:
    model, tokens = small("motif_3"), torch.tensor(random_rows(6, 6))
    assert torch.equal(model.generate(tokens, 8, speculative=True), model.generate(tokens, 8))


def test_nothing_was_counted_yet() -> None:
    assert str(Speculation().acceptance_rate) == str(Speculation().tokens_per_pass) == "nan"


def test_a_model_without_a_head_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"^speculative=true cannot be used: the model has no multi-token head"
    ):
        continuations(small("llama"), [[1]], 2, speculation=Speculation())


@pytest.mark.parametrize("sampling", [Sampling(temperature=0.5), Sampling(repetition_penalty=1.2)])
def test_only_greedy_decoding_can_be_checked(sampling: Sampling) -> None:
    with pytest.raises(ConfigError, match=r"^speculative=true .*temperature=.*it needs temperature=0 and"):
        continuations(small("k_exaone"), [[1]], 2, sampling, speculation=Speculation())
