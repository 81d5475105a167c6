"""Exercises: training text in the form of the tasks that natural text does not teach.

Arithmetic in words, facts in a text, associations to be recalled, and Korean and English messages side by side. This
module has the forms, which :mod:`lab.evaluation.tasks.synthetic` shares, and the rule that keeps the two apart: a
question that :func:`is_reserved` says to be reserved may be asked by a task and is in no exercise.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256

from lab.data.document import Document, Pair

FORMAT = 2
"""Raised whenever the same text would give other exercises, so that old caches are not reused."""

SOURCE = "exercises"
RESERVED_OF = 4
"""One question in so many is reserved."""

TREES = ("은행나무", "소나무", "단풍나무", "느티나무", "대나무", "밤나무", "감나무", "버드나무")
ANIMALS = (
    "고양이",
    "강아지",
    "다람쥐",
    "까치",
    "참새",
    "나비",
    "토끼",
    "사슴",
    "여우",
    "부엉이",
    "거미",
    "원숭이",
)
SYLLABLES = tuple("가나다라마바사아자차카타파하거너더러머버")
VALUES = tuple("구누두루무부수우주추쿠투")
HEADINGS = {"ko": "한국어", "en": "English"}
PROBLEMS: dict[str, dict[str, str]] = {
    "ko": {"+": "{a} 더하기 {b}의 값은", "-": "{a} 빼기 {b}의 값은", "*": "{a} 곱하기 {b}의 값은"},
    "en": {"+": "The sum of {a} and {b} is", "-": "{a} minus {b} is", "*": "{a} times {b} is"},
}

PROBLEMS_A_DOCUMENT = 16
MIN_LISTED, MAX_LISTED = 4, 8
"""Associations that an exercise lists."""

NUM_FACTS = 4
MAX_HAYSTACK = 300
"""Characters of text around the facts of an exercise at most: a row of 256 tokens holds about so much."""

MAX_LINE = 160
"""Characters of a line that may stand in a haystack, and of a message that may be paired."""


def is_reserved(*question: object) -> bool:
    """Whether ``question`` is kept for evaluation: by a hash of it, :data:`RESERVED_OF` says how often."""
    return sha256("/".join(map(str, question)).encode()).digest()[0] % RESERVED_OF == 0


def draw_problem(draw: random.Random, language: str, reserved: bool) -> tuple[str, int]:
    """A problem in words and its result: +, - on numbers from 1 to 99, the larger first, or × on 2 to 9."""
    while True:
        sign = draw.choice("+-*")
        least, most = (2, 9) if sign == "*" else (1, 99)
        b, a = sorted((draw.randint(least, most), draw.randint(least, most)))
        if is_reserved(a, sign, b) == reserved:
            result = {"+": a + b, "-": a - b, "*": a * b}[sign]
            return PROBLEMS[language][sign].format(a=a, b=b), result


def draw_associations(draw: random.Random, count: int, reserved: bool) -> list[tuple[str, str]]:
    """``count`` different syllables, each with another syllable, which are different too."""
    while True:
        pairs = [*zip(draw.sample(SYLLABLES, count), draw.sample(VALUES, count), strict=True)]
        if is_reserved(*sorted(pairs)) == reserved:
            return pairs


def list_associations(pairs: Sequence[tuple[str, str]]) -> str:
    """Each syllable and the one that goes with it, in a line."""
    return " ".join(f"{key} {value}" for key, value in pairs)


def draw_facts(draw: random.Random, reserved: bool) -> list[tuple[str, str]]:
    """:data:`NUM_FACTS` different trees, each with an animal, which are different too."""
    while True:
        facts = [*zip(draw.sample(TREES, NUM_FACTS), draw.sample(ANIMALS, NUM_FACTS), strict=True)]
        if is_reserved(*sorted(facts)) == reserved:
            return facts


def ask_fact(tree: str) -> str:
    """What its animal goes after, where it is told and where it is asked for."""
    return f"{tree}에는"


def pair_context(given: str, source: str, target: str) -> str:
    """A message in language ``source``, up to where the same in ``target`` begins with a blank."""
    return f"{HEADINGS[source]}: {given}\n{HEADINGS[target]}:"


def is_pairable(pair: Pair) -> bool:
    """Whether both messages of ``pair`` are one line of middling length."""
    return all(12 <= len(one) <= MAX_LINE and "\n" not in one for one in (pair.ko, pair.en))


def write_exercises(
    training: Mapping[str, Sequence[Document]], pairs: Sequence[Pair], share: float, salt: str
) -> list[Document]:
    """Exercises that make up ``share`` of the Korean and of the English text that is trained on, in characters.

    ``training`` holds the training documents by language, ``pairs`` the training pairs; no other text is read. A
    language's exercises are equally much of each kind, less where there are no more pairs: each is used once a
    direction. ``salt`` decides the draw.
    """
    draw = random.Random(f"{FORMAT}/{salt}")
    lines = [
        line for one in training.get("ko", ()) for line in one.text.split("\n") if 15 <= len(line) <= MAX_LINE
    ]
    usable = [pair for pair in pairs if is_pairable(pair)]
    kinds: dict[str, dict[str, Iterator[str]]] = {
        "ko": {
            "arithmetic": _endless(lambda: _arithmetic(draw, "ko")),
            "associations": _endless(lambda: _associations(draw)),
            "facts": _endless(lambda: _facts(draw, lines)),
            "pairs": _pairs(draw, usable, "ko", "en"),
        },
        "en": {
            "arithmetic": _endless(lambda: _arithmetic(draw, "en")),
            "pairs": _pairs(draw, usable, "en", "ko"),
        },
    }
    documents = []
    for language, writers in kinds.items():
        characters = sum(len(one.text) for one in training.get(language, ())) * share / (1 - share)
        for kind, texts in writers.items():
            for number, text in enumerate(_up_to(texts, characters / len(writers))):
                name = f"{SOURCE}:{kind}_{language}#{number}"
                documents.append(Document(name, language, SOURCE, text, name))
    return documents


def _endless(write: Callable[[], str]) -> Iterator[str]:
    while True:
        yield write()


def _up_to(texts: Iterator[str], characters: float) -> Iterator[str]:
    """``texts`` until they have ``characters``."""
    written = 0
    while written < characters and (text := next(texts, None)) is not None:
        written += len(text)
        yield text


def _arithmetic(draw: random.Random, language: str) -> str:
    """Solved problems, one a line."""
    problems = [draw_problem(draw, language, reserved=False) for _ in range(PROBLEMS_A_DOCUMENT)]
    return "\n".join(f"{words} {result}" for words, result in problems)


def _associations(draw: random.Random) -> str:
    """A list, then every syllable of it twice in random order with what goes with it."""
    listed = draw_associations(draw, draw.randint(MIN_LISTED, MAX_LISTED), reserved=False)
    return list_associations([*listed, *draw.sample(listed * 2, len(listed) * 2)])


def _facts(draw: random.Random, lines: Sequence[str]) -> str:
    """Lines of text with the facts anywhere between them, then every tree in random order with its animal."""
    text: list[str] = []
    room = draw.randint(0, MAX_HAYSTACK)
    while lines and (room := room - len(line := draw.choice(lines))) >= 0:
        text.append(line)
    facts = [f"{ask_fact(tree)} {animal}" for tree, animal in draw_facts(draw, reserved=False)]
    for fact in facts:
        text.insert(draw.randint(0, len(text)), fact)
    return "\n".join([*text, *draw.sample(facts, len(facts))])


def _pairs(draw: random.Random, pairs: Sequence[Pair], source: str, target: str) -> Iterator[str]:
    """Each pair once, in random order."""
    for pair in draw.sample(pairs, len(pairs)):
        yield f"{pair_context(getattr(pair, source), source, target)} {getattr(pair, target)}"
