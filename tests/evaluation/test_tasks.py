"""Constructions: what an item is made of, that it can be answered, and that the same text gives the same items."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from lab.config import compose
from lab.data.corpus import Corpus, corpus_directory, prepare
from lab.data.exercises import TREES, is_reserved
from lab.errors import ConfigError
from lab.evaluation.config import SuiteConfig
from lab.evaluation.items import ChoiceItem, Probe
from lab.evaluation.suite import LEVEL, make_suite
from lab.evaluation.tasks.catalogue import TASKS, select_tasks
from lab.evaluation.tasks.pins import pins_of, read_pins
from lab.evaluation.tasks.spelling import misspelt
from lab.evaluation.tasks.synthetic import HAYSTACKS
from lab.evaluation.tasks.task import at_word_boundary, make_task, nearest_in_length, require_choices
from lab.job import cache_directory
from lab.overrides import CONF
from lab.report.evaluation import catalogue_table, tasks_table
from lab.report.tables import to_markdown
from tests.evaluation.held_out import problem_of, written

TEXT = written()
LIKELY = Counter(a + sign * b for a in range(1, 100) for b in range(1, a + 1) for sign in (-1, 1))
"""How often each result is met where problems are drawn at random."""

MADE = {name: make_task(kind, TEXT, 40, 0) for name, kind in TASKS.items()}


def task(name: str) -> Probe:
    made = MADE[name]
    assert made is not None
    return made


def whole(item: ChoiceItem, place: int | None = None) -> str:
    return item.context + item.choices[item.answer if place is None else place]


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_balanced_distinct_and_cut_at_words(name: str) -> None:
    made = task(name)
    assert len(made.items) >= 20
    assert made.chance == pytest.approx(TASKS[name].chance)
    answers = Counter(item.answer for item in made.items)
    assert set(answers.values()) == {len(made.items) // TASKS[name].choices}
    assert len({item.context for item in made.items}) > len(made.items) // 2
    for item in made.items:
        require_choices(item)
        assert item.context == item.context.rstrip()
        assert item.context
        assert all(choice[0] in " \n" and choice[1] not in " \n" for choice in item.choices)


@pytest.mark.parametrize("name", TASKS)
def test_the_same_text_gives_the_same_items_in_any_order(name: str) -> None:
    backwards = written(TEXT.documents[::-1])
    again = make_task(TASKS[name], backwards, 40, 0)
    assert again is not None
    if name != "key_retrieval_ko":  # whose pool is in hashed order too
        assert {item.context for item in again.items} == {item.context for item in task(name).items}
    assert again.manifest == task(name).manifest
    other = make_task(TASKS[name], TEXT, 40, 1)
    assert other is not None
    assert other.manifest != again.manifest


@pytest.mark.parametrize(
    "name",
    [
        "object_particle",
        "particle_role",
        "next_sentence_ko",
        "near_sentence_ko",
        "article_cloze",
        "hangul_spelling",
    ],
)
def test_the_right_choice_alone_is_in_the_document(name: str) -> None:
    texts = {one.id: one.text for one in TEXT.documents}
    for item in task(name).items:
        text = texts[item.document]
        assert whole(item).split("\n")[-1] in text
        wrong = [
            whole(item, place).split("\n")[-1] for place in range(len(item.choices)) if place != item.answer
        ]
        assert not any(one in text for one in wrong)


def test_wrong_sentences_come_from_the_sources_that_were_said() -> None:
    source = {line: one.source for one in TEXT.documents for line in one.text.split("\n")}
    home = {one.id: one.source for one in TEXT.documents}
    for name, same in (("next_sentence_ko", False), ("next_sentence_en", False), ("near_sentence_ko", True)):
        for item in task(name).items:
            wrong = [choice[1:] for place, choice in enumerate(item.choices) if place != item.answer]
            assert {source[one] == home[item.document] for one in wrong} == {same}


def test_a_cloze_offers_words_of_one_form() -> None:
    for item in task("article_cloze").items:
        words = [choice[1:].split(" ")[0] for choice in item.choices]
        assert len({(len(word), word[-1]) for word in words}) == 1
        assert len({choice.split(" ", 2)[2] for choice in item.choices}) == 1


def test_pairs_belong_together_and_wrong_ones_do_not() -> None:
    known = {(pair.ko, pair.en) for pair in TEXT.messages}
    for name in ("pairing_ko_en", "pairing_en_ko"):
        for item in task(name).items:
            given = item.context.split("\n")[0].split(": ")[1]
            hits = {
                place
                for place, one in enumerate(item.choices)
                if known & {(given, one[1:]), (one[1:], given)}
            }
            assert hits == {item.answer}


def test_a_misspelling_is_one_vowel_and_no_known_word() -> None:
    assert misspelt("나무", set(), 0) in {"너무", "나모"}
    assert misspelt("나무", {"너무"}, 0) == "나모"
    assert misspelt("나무", {"너무", "나모"}, 0) is None
    assert misspelt("뷔", set(), 0) is None
    for item in task("hangul_spelling").items:
        right, wrong = (item.choices[place] for place in (item.answer, 1 - item.answer))
        assert sum(a != b for a, b in zip(right, wrong, strict=True)) == 1
        assert len(right.encode()) == len(wrong.encode())


@pytest.mark.parametrize("language", ["ko", "en"])
def test_every_sum_is_right_and_every_wrong_result_is_wrong(language: str) -> None:
    for item in task(f"arithmetic_{language}").items:
        *shown, asked = item.context.split("\n")
        results = [int(line.rsplit(" ", 1)[1]) for line in shown] + [int(item.choices[item.answer])]
        for line, result in zip([*shown, asked], results, strict=True):
            a, sign, b = problem_of(line)
            assert {"+": a + b, "-": a - b, "*": a * b}[sign] == result
        assert len(set(item.choices)) == 4


def test_facts_are_all_in_the_text_and_the_right_one_in_every_quarter() -> None:
    made = make_task(TASKS["key_retrieval_ko"], TEXT, 192, 0)
    assert made is not None
    places = Counter()
    for item in made.items:
        *lines, asked = item.context.split("\n")
        facts = [line for line in lines if line.split("에는")[0] in TREES]
        assert {fact.split("에는")[1] for fact in facts} == set(item.choices)
        assert len(facts) == 4
        around = len(item.context) - len("\n".join([*facts, asked]))
        (size,) = (size for size in HAYSTACKS if size <= around <= size + 170)
        places[size, facts.index(f"{asked}{item.choices[item.answer]}")] += 1
    assert places == {(size, place): 16 for size in HAYSTACKS for place in range(4)}


def test_associations_can_be_looked_up() -> None:
    for item in task("associative_recall").items:
        *listed, asked = item.context.split(" ")
        table = dict(zip(listed[::2], listed[1::2], strict=True))
        assert len(table) == 8
        assert table[asked] == item.choices[item.answer].strip()
        assert {choice.strip() for choice in item.choices} <= set(table.values())


def test_what_is_asked_for_is_reserved_and_what_is_shown_solved_is_not() -> None:
    for language in ("ko", "en"):
        for item in task(f"arithmetic_{language}").items:
            problems = [problem_of(line) for line in item.context.split("\n")]
            assert [is_reserved(*one) for one in problems] == [False, False, False, True]
    for item in task("associative_recall").items:
        words = item.context.split(" ")[:-1]
        assert is_reserved(*sorted(zip(words[::2], words[1::2], strict=True)))
    for item in task("key_retrieval_ko").items:
        lines = [line.split("에는 ") for line in item.context.split("\n")[:-1]]
        assert is_reserved(*sorted(tuple(line) for line in lines if line[0] in TREES))


def test_a_boundary_moves_to_the_last_blank() -> None:
    cut = at_word_boundary(ChoiceItem("큰 나무", ("를 본다", "을 본다"), 0, "d"))
    assert (cut.context, cut.choices) == ("큰", (" 나무를 본다", " 나무을 본다"))
    after = at_word_boundary(ChoiceItem("큰 ", ("나무", "집"), 0, "d"))
    assert (after.context, after.choices) == ("큰", (" 나무", " 집"))


def test_length_gives_the_answer_away_in_no_way() -> None:
    pool = ["x" * size for size in range(1, 40)]
    longer = Counter()
    for salt in range(400):
        chosen = nearest_in_length(pool, "y" * 20, 3, salt)
        assert {len(one) for one in chosen} <= {18, 19, 20, 21, 22, 23}
        longer[sum(len(one) > 20 for one in chosen)] += 1
    assert all(70 < longer[count] < 130 for count in range(4))
    assert sorted(nearest_in_length(["a", "bb"], "ccc", 3, 0)) == ["a", "bb"]


@pytest.mark.parametrize("language", ["ko", "en"])
def test_no_rank_and_no_digit_tells_a_right_result(language: str) -> None:
    """All four of two beginnings with two last digits are offered, and each is right equally often."""
    items = make_task(TASKS[f"arithmetic_{language}"], TEXT, 160, 0)
    assert items is not None
    commonest = 0.0
    results = Counter(item.choices[item.answer] for item in items.items)
    for item in items.items:
        beginnings, ends = ({choice[:-1] for choice in item.choices}, {choice[-1] for choice in item.choices})
        assert (len(beginnings), len(ends)) == (2, 2)
        assert all(10 <= int(choice) <= 99 for choice in item.choices)
        commonest += item.choices[item.answer] == max(item.choices, key=lambda one: LIKELY[int(one)])
    assert len(results) > 40
    assert commonest / len(items.items) < 0.25 + 2.6 * (0.25 * 0.75 / len(items.items)) ** 0.5


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (ChoiceItem("가", (" 나",), 0, "d"), "has 1 choice: it must offer at least 2"),
        (ChoiceItem("가", (" 나", " 나"), 0, "d"), "empty or equal choices"),
        (ChoiceItem("가", (" 나", " "), 0, "d"), "empty or equal choices"),
        (ChoiceItem("가", (" 나", " 다"), 2, "d"), "answer=2"),
    ],
)
def test_an_item_that_asks_nothing_is_refused(item: ChoiceItem, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        require_choices(item)
    kind = replace(TASKS["particle_role"], build=lambda *_: [item])
    with pytest.raises(ConfigError, match=said):
        make_task(kind, TEXT, 4, 0)


def test_empty_documents_and_missing_languages_give_no_task() -> None:
    blank = written([replace(one, text=" \n") for one in TEXT.documents])
    for name, kind in TASKS.items():
        made = make_task(kind, blank, 8, 0)
        assert (made is None) == (not kind.synthetic and not name.startswith("pairing"))
    suite = make_suite(written([]), SuiteConfig(num_items=8, intrinsic=False))
    assert {"particle_role", "next_sentence_en"} <= set(suite.missing)
    with pytest.raises(ConfigError, match=r"evaluation\.tasks=\['particle_role'\] cannot be made"):
        make_suite(written([]), SuiteConfig(num_items=8, intrinsic=False, tasks=["particle_role"]))


def test_tasks_are_chosen_by_name() -> None:
    assert [kind.name for kind in select_tasks(["arithmetic_en", "particle_role"])] == [
        "particle_role",
        "arithmetic_en",
    ]
    with pytest.raises(
        ConfigError, match=r"^evaluation.tasks=particles is unknown: it can be object_particle, "
    ):
        SuiteConfig(tasks=["particles"])


def default_corpus() -> Corpus | None:
    """The default corpus where it has been built before; a test downloads nothing."""
    config = compose()
    cache = cache_directory()
    directory = corpus_directory(config.data, config.tokenizer, cache)
    return prepare(config.data, config.tokenizer, cache) if directory.is_dir() else None


def test_the_default_corpus_gives_the_pinned_items() -> None:
    corpus = default_corpus()
    if corpus is None:
        pytest.skip("the default corpus is not built here")
    suite = make_suite(corpus, SuiteConfig(max_bytes=200_000))
    assert pins_of(suite.tasks) == read_pins()


def test_the_documents_tables_are_the_commands() -> None:
    room = CONF.parent / "lab" / "evaluation"
    readme = (room / "README.md").read_text(encoding="utf-8")
    assert to_markdown(catalogue_table(TASKS.values(), read_pins())) in readme
    measured = json.loads((room / "nano.json").read_text(encoding="utf-8"))
    first_versions = {name for name, kind in TASKS.items() if kind.version == 1}
    for run, results in measured.items():
        assert set(results["tasks"]) == (first_versions if run.startswith("packages") else set(TASKS))
        assert to_markdown(tasks_table(results)) in readme


def test_the_tasks_said_to_separate_do() -> None:
    measured = json.loads((CONF.parent / "lab" / "evaluation" / "nano.json").read_text(encoding="utf-8"))
    separating = {
        run: {name for name, one in results["comparison"].items() if one["separates"]}
        for run, results in measured.items()
    }
    for results in measured.values():
        for one in results["comparison"].values():
            margin = one["margin"]
            assert one["separates"] == (margin["p_holm"] < LEVEL and margin["mean"] > 0)
    assert separating["packages-2e12"] == {
        *("object_particle", "particle_role", "next_sentence_ko", "hangul_spelling"),
    }
    assert set(TASKS) - separating["exercises-3.2e13"] == {"key_retrieval_ko", "associative_recall"}
    assert not any(
        one["separates"] or one["trails"]
        for control in measured["exercises-3.2e13"]["control"]
        for one in control.values()
    )
    told = [
        {name for name, task in one.items() if task["separates"] or task["trails"]}
        for one in measured["packages-2e12"]["control"]
    ]
    assert sorted(told, key=len) == [set(), set(), set(), {"arithmetic_en"}]
