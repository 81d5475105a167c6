"""Korean case particles: the form each takes after a syllable, and where a sentence certainly has one.

A particle is written onto the noun before it, and many change with the noun's last sound: the object is
marked by 을 after a consonant and by 를 after a vowel. Recognition works on spelling alone and favours
certainty over completeness: it asks for a noun of at least :data:`MIN_STEM` syllables, for the form that the
rule demands, and passes over verb endings and words that merely end in the same syllable.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

FINAL_CONSONANTS = ("", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ")
"""In the order of Unicode, where a syllable's number modulo 28 says which one it ends in."""

MIN_STEM = 2
"""Syllables before the particle: after one alone, as in 서로 or 회의, it is mostly part of the word."""


def final_consonant(syllable: str) -> str:
    """The consonant that a hangul syllable ends in, empty where it ends in a vowel."""
    return FINAL_CONSONANTS[(ord(syllable) - ord("가")) % 28]


@dataclass(frozen=True)
class Particle:
    """One case: its role, and its forms after a vowel and after a consonant."""

    role: str
    after_vowel: str
    after_consonant: str
    rieul_is_vowel: bool = False
    """Whether ㄹ counts as a vowel, as it does for 로: 서울로."""

    def form(self, stem: str) -> str:
        """The form that the last syllable of ``stem`` demands."""
        final = final_consonant(stem[-1])
        vowel = not final or (self.rieul_is_vowel and final == "ㄹ")
        return self.after_vowel if vowel else self.after_consonant


OBJECT = Particle("object", "를", "을")
GENITIVE = Particle("genitive", "의", "의")
LOCATIVE = Particle("locative", "에", "에")
DIRECTIONAL = Particle("directional", "로", "으로", rieul_is_vowel=True)
CASES = (OBJECT, GENITIVE, LOCATIVE, DIRECTIONAL)


@dataclass(frozen=True)
class Occurrence:
    """A particle in a sentence, at ``sentence[start:end]``."""

    particle: Particle
    start: int
    end: int


def sentences(text: str) -> Iterator[str]:
    """The lines of ``text``, cut after ".", "?" or "!" before white space; not after a digit, as in dates."""
    for line in text.split("\n"):
        yield from re.split(r"(?<=[^\d][.?!])\s+", line.strip())


def case_particles(sentence: str) -> Iterator[Occurrence]:
    """Where ``sentence`` has a noun with one of :data:`CASES`, from left to right."""
    for word in _WORD.finditer(sentence):
        particle = _case(word["word"], word["next"] or "")
        if particle is not None:
            end = word.end("word")
            yield Occurrence(particle, end - len(_ending(particle, word["word"])), end)


_WORD = re.compile(r"""(?<!\S)[‘“'"(「]?(?P<word>[가-힣]+)(?=[\s,.?!)]|$)(?=(?:\s+(?P<next>[가-힣]+))?)""")


def _case(word: str, following: str) -> Particle | None:
    """The case that ``word`` stands in, None where there is none or where that is uncertain."""
    for particle in CASES:
        ending = _ending(particle, word)
        stem = word.removesuffix(ending)
        if ending and len(stem) >= MIN_STEM and particle.form(stem) == ending:
            return None if _is_other(particle, word, stem, following) else particle
    return None


def _ending(particle: Particle, word: str) -> str:
    """The longer of the particle's forms that ``word`` ends in, empty where it ends in neither."""
    forms = sorted((particle.after_vowel, particle.after_consonant), key=len, reverse=True)
    return next((form for form in forms if word.endswith(form)), "")


def _is_other(particle: Particle, word: str, stem: str, following: str) -> bool:
    """Whether what looks like the particle is a verb's ending or part of the word."""
    if particle is OBJECT:
        verbal = stem.endswith(_VERB_STEMS) or final_consonant(stem[-1]) in _VERBAL_FINALS
        return verbal or _BOUND_NOUN.fullmatch(following) is not None
    return word.endswith(_WORDS[particle])


# 있을, 없을, 받을 look like objects: verbs in the form that goes before a noun, often one of _BOUND_NOUN.
_VERBAL_FINALS = tuple("ㄵㄶㄺㄻㄼㄿㅀㅆ")
_VERB_STEMS = tuple("갖같갚깊낮넘넣놓높늦닦닫닿맞맡먹묶믿받벗뽑섞솟쌓씻얻없잇잊잡좋죽찾")
_BOUND_NOUN = re.compile(
    "(?:수|때|것|거|경우|줄|뿐|만큼|예정|정도|듯|터|무렵)(?:가|이|은|는|을|를|도|의|에|에는|까지|로|만|보다|밖에|이다|입니다)?"
)
_WORDS = {
    GENITIVE: (
        *("주의", "회의", "협의", "합의", "심의", "명의", "문의", "질의", "강의"),
        *("편의", "동의", "논의", "자정의"),
        *("에서의", "으로의", "까지의", "부터의", "에게의"),
    ),
    LOCATIVE: ("밖에",),
    DIRECTIONAL: (
        *("므로", "대로", "스스로", "저절로", "함부로"),
        *("교차로", "활주로", "고속도로", "원자로"),
    ),
}
