"""Probes: a model that knows the rule is right everywhere, one that knows nothing scores chance."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from lab.data.document import Document
from lab.errors import ConfigError
from lab.evaluation.items import Candidate, ChoiceItem, Probe, draw_items
from lab.evaluation.korean import OBJECT
from lab.evaluation.particles import particle_probes
from lab.evaluation.probes import score_probe
from tests.evaluation.stand_ins import CharacterTokenizer, StandIn, document, judge_of_texts, uniform

NOUNS = ("세금", "기기", "주택", "서버", "설정", "자료", "법률", "회사")
VERBS = ("확인하고 나서 저장한다", "천천히 살펴본다고 한다", "미리 준비하도록 한다", "다시 검토하기로 했다")


def korean_documents() -> list[Document]:
    """Eight documents; each has a sentence for every noun and every case, and lines that hold no item."""
    made = []
    for number in range(8):
        verb, other = VERBS[number % 4], VERBS[(number + 1) % 4]
        lines = ["제목", "짧다.", "An English line that nothing is asked about."]
        for noun in NOUNS:
            lines.append(f"{number}번째 사람이 {noun}{OBJECT.form(noun)} {verb}.")
            lines.append(f"{number}번째 사람이 {noun}의 내용만 {other}.")
            lines.append(f"{number}번째 사람이 {noun}에 대하여 {verb}.")
            directional = noun + ("로" if noun in ("기기", "서버", "자료", "법률", "회사") else "으로")
            lines.append(f"{number}번째 사람이 {directional} 이동해서 {other}.")
        made.append(document(f"d{number}", "\n".join(lines)))
    return made


DOCUMENTS = korean_documents()
SENTENCES = {line for one in DOCUMENTS for line in one.text.split("\n")}
TOKENIZER = CharacterTokenizer("".join(SENTENCES) + "저집간")


def probes(num_items: int = 32, seed: int = 0) -> dict[str, Probe]:
    return {probe.name: probe for probe in particle_probes(DOCUMENTS, num_items, seed)}


def score(probe: Probe, model: StandIn) -> dict[str, object]:
    return score_probe(probe, model, TOKENIZER, sequence_length=128, batch_size=4)


def breaks_the_rule(text: str) -> float:
    """1 nat for every 을 after a vowel and every 를 after a consonant."""
    pairs = pairwise(text)
    return float(sum(after in "을를" and OBJECT.form(before) != after for before, after in pairs))


def test_items_are_the_sentence_with_every_choice() -> None:
    (item, *_), (role, *_) = (probe.items for probe in probes().values())
    assert {text[0] for text in item.choices} == {"을", "를"}
    assert item.context + item.choices[item.answer] in SENTENCES
    assert len(role.choices) == 4
    assert role.context + role.choices[role.answer] in SENTENCES
    others = {role.context + choice for place, choice in enumerate(role.choices) if place != role.answer}
    assert not others & SENTENCES
    rests = {choice.lstrip("을를의에으로") for choice in role.choices}
    assert len(rests) == 1


def test_a_model_that_knows_the_rule_is_always_right() -> None:
    oracle = judge_of_texts(TOKENIZER, breaks_the_rule)
    contrarian = judge_of_texts(TOKENIZER, lambda text: -breaks_the_rule(text))
    assert score(probes()["object_particle"], oracle)["accuracy"] == 1
    assert score(probes()["object_particle"], contrarian)["accuracy"] == 0
    # All four cases come in the right form: the rule says nothing about the role.
    assert score(probes()["particle_role"], oracle)["accuracy"] == 0.25


def test_a_model_that_knows_the_sentences_is_always_right() -> None:
    memory = judge_of_texts(TOKENIZER, lambda text: float(text not in SENTENCES))
    for probe in probes().values():
        result = score(probe, memory)
        assert result["accuracy"] == 1
        assert result["high"] == 1


@pytest.mark.parametrize("favoured", ["을", "를", "의", "에"])
def test_favouring_one_form_scores_chance(favoured: str) -> None:
    biased = judge_of_texts(TOKENIZER, lambda text: -float(text.count(favoured + " ")))
    for name, forms in (("object_particle", "을를"), ("particle_role", "의에")):
        if favoured in forms:
            assert score(probes()[name], biased)["accuracy"] == probes()[name].chance


def test_a_uniform_model_scores_chance_where_choices_are_equally_long() -> None:
    result = score(probes()["object_particle"], uniform(TOKENIZER.vocab_size))
    assert (result["accuracy"], result["chance"], result["num_items"]) == (0.5, 0.5, 32)
    assert 0.33 < result["low"] < 0.5 < result["high"] < 0.67


def test_what_the_number_of_tokens_gives_away_is_reported() -> None:
    choices = ("의 집", "으로 간", "에 간")
    items = tuple(ChoiceItem("저", choices, answer, "d") for answer in (0, 1, 2))
    result = score(Probe("role", 3, items), uniform(TOKENIZER.vocab_size))
    assert result["fewest_tokens"] == pytest.approx((1 / 2 + 0 + 1 / 2) / 3)


def test_answers_are_balanced_and_documents_take_turns() -> None:
    for probe in probes(32).values():
        answers = Counter(item.answer for item in probe.items)
        assert set(answers.values()) == {32 // len(probe.items[0].choices)}
        per_document = Counter(item.document for item in probe.items)
        assert len(per_document) == len(DOCUMENTS)
        texts = [item.context + item.choices[item.answer] for item in probe.items]
        assert len(set(texts)) == len(texts)


def test_items_come_from_the_given_documents_alone() -> None:
    held_out, training = DOCUMENTS[:3], DOCUMENTS[3:]
    for probe in particle_probes(held_out, 400, seed=0):
        assert {item.document for item in probe.items} == {one.id for one in held_out}
        training_text = "\n".join(one.text for one in training)
        assert not any(item.context + item.choices[item.answer] in training_text for item in probe.items)


def test_seed_and_items_decide_the_manifest() -> None:
    first = probes()["particle_role"]
    assert first.manifest == probes()["particle_role"].manifest
    shuffled = particle_probes(DOCUMENTS[::-1], 32, seed=0)[1]
    assert shuffled.items == first.items
    assert first.manifest != probes(seed=1)["particle_role"].manifest
    changed = replace(first, items=(replace(first.items[0], answer=3), *first.items[1:]))
    assert first.manifest != changed.manifest


def test_fewer_items_than_requested_are_reported() -> None:
    probe = particle_probes(DOCUMENTS[:1], 400, seed=0)[0]
    result = score(probe, uniform(TOKENIZER.vocab_size))
    assert result["requested_items"] == 400
    assert result["num_items"] == len(probe.items) == len(NOUNS)  # one sentence a noun has an object
    assert result["documents"] == 1


def test_no_item_at_all_is_one_sentence() -> None:
    empty = [document("a", "제목만 있는 문서이다"), document("b", "세금을 낸 사람은 미리 확인하도록 한다.")]
    for documents in ([], empty[:1], empty):  # the last holds 을 but no 를, so that nothing can be balanced
        with pytest.raises(ConfigError, match=r"^evaluation.num_items=200 cannot be used: .*object_particle"):
            particle_probes(documents, 200, seed=0)


def test_one_sentence_gives_one_item() -> None:
    items = [ChoiceItem("가", ("나", "다"), answer, "d") for answer in (0, 1)]
    assert draw_items([Candidate(item, "same") for item in items], 2, seed=0) == ()
    assert len(draw_items([Candidate(item, str(item.answer)) for item in items], 2, seed=0)) == 2
