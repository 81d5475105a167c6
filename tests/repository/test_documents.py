"""What the documents say is so: their commands work, their pictures are true, both languages say the same."""

import re
import shlex
import subprocess
import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

import lab
from lab.config import compose
from lab.overrides import CONF, compose_container, readable
from tests.repository.files import ROOT, fenced_blocks, read, repository_files, shell_commands

ENGLISH, KOREAN, CONTRIBUTING = "README.md", "README.ko.md", "CONTRIBUTING.md"
DOCUMENTS = (ENGLISH, KOREAN, CONTRIBUTING)
COMMANDS = sorted({command for document in DOCUMENTS for command in shell_commands(document)})
MAKE = [command for command in COMMANDS if command.startswith("make")]
EXPERIMENTS = [command for command in COMMANDS if command.startswith("python -m experiments.")]
# quick and without effect: these are run as they stand
PRINTING = [
    command
    for command in EXPERIMENTS
    if re.search(
        r"experiments\.(size|contenders|scorecard|plan|serve_cost) |=show|--cfg|--info", f"{command} "
    )
]
FIRST_ABLATION = [command for command in COMMANDS if command.endswith("mine") or "ablation=mine" in command]
OTHERS = [c for c in COMMANDS if c not in MAKE and c not in EXPERIMENTS and c not in FIRST_ABLATION]


def test_no_command_escapes_the_tests() -> None:
    known = ("source .venv/bin/activate", '.venv/bin/python -m pip install --editable ".[launchers]"')
    assert set(OTHERS) == set(known)


@pytest.mark.parametrize("command", MAKE)
def test_make_has_the_target(command: str) -> None:
    dry = subprocess.run(
        [*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert dry.returncode == 0, dry.stderr


@pytest.mark.parametrize("command", EXPERIMENTS)
def test_the_command_composes(command: str) -> None:
    words = shlex.split(command)
    verb = words[2].removeprefix("experiments.")
    assert (ROOT / "experiments" / f"{verb}.py").is_file()
    if verb == "harness":  # another program's command line, run in tests/evaluation
        return
    own = [word for word in words[3:] if "=" in word and not word.startswith(("-", "hydra."))]
    overrides = [first_of_sweep(word) for word in own]
    root = verb if (CONF / f"{verb}.yaml").is_file() else "config"
    compose_container(overrides, root)
    if root == "config":
        compose(overrides)


def first_of_sweep(override: str) -> str:
    """``key=a`` of ``key=a,b``; other overrides as they are."""
    override = readable(override)
    parsed = OverridesParser.create().parse_override(override)
    if not parsed.is_sweep_override():
        return override
    return f"{parsed.key_or_group}={next(iter(parsed.sweep_string_iterator()))}"


@pytest.mark.parametrize("command", PRINTING)
def test_the_command_runs(command: str) -> None:
    words = [sys.executable, *shlex.split(command)[1:]]
    run = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip()


def test_the_first_notebook_lines_run() -> None:
    first = fenced_blocks(ENGLISH, "python")[0]
    names: dict[str, object] = {}
    *statements, expression = first.strip().splitlines()
    exec("\n".join(statements), names)
    size = eval(expression, names)
    model = names["model"]
    assert sum(parameter.numel() for parameter in model.parameters()) == size.parameters_total


def test_the_public_face_is_documented() -> None:
    named = set(re.findall(r"lab\.(\w+)\(", "".join(fenced_blocks(ENGLISH, "python"))))
    assert named == {name for name in dir(lab) if name.islower()}


def test_both_languages_have_the_same_commands_and_code() -> None:
    assert shell_commands(ENGLISH) == shell_commands(KOREAN)
    assert fenced_blocks(ENGLISH, "python") == fenced_blocks(KOREAN, "python")


def test_both_languages_have_the_same_sections_and_tables() -> None:
    assert outline(ENGLISH) == outline(KOREAN)


def outline(document: str) -> list[str]:
    """In order: the level of each heading, the code that opens each table row, and markers."""
    found = []
    for line in read(document).splitlines():
        if match := re.match(r"(#+) ", line):
            found.append(match[1])
        elif line.startswith("|"):
            code = re.match(r"\| (`[^|]*`(, `[^|]*`)*) \|", line)
            found.append(code[1] if code else "|")
        elif line.startswith("<!--"):
            found.append(line)
    return found


@pytest.mark.parametrize("document", [ENGLISH, KOREAN])
def test_the_picture_of_the_rooms_is_true(document: str) -> None:
    (picture,) = fenced_blocks(document, "text")
    drawn, parent = set(), ""
    for line in picture.splitlines():
        indent, name = re.match(r"( *)(\w+)/ ", line).groups()
        parent = parent if indent else name
        drawn.add(f"{parent}/{name}" if indent else name)
    files = [path for path in repository_files() if not path.startswith(".") and "/" in path]
    rooms = {"/".join(path.split("/")[:2]) for path in files if re.match(r"lab/\w+/", path)}
    assert drawn == {path.split("/")[0] for path in files} | rooms


@pytest.mark.parametrize("document", [ENGLISH, KOREAN])
def test_every_contender_is_in_the_table(document: str) -> None:
    listed = re.findall(r"^\| `(\w+)` \|", read(document), re.MULTILINE)
    assert sorted(listed) == sorted(path.stem for path in (CONF / "model").glob("*.yaml"))


@pytest.mark.parametrize("document", [*DOCUMENTS, "CHANGELOG.md"])
def test_named_files_exist(document: str) -> None:
    roots = r"(?:lab|conf|experiments|tests|notebooks|tools)/[\w./]+|[\w.]+\.(?:md|toml|yml)|LICENSE"
    named = set(re.findall(rf"[`(]({roots})[`)]", read(document)))
    made_up = {  # the how-tos' examples
        "conf/model/my_model.yaml",
        "conf/model/attention/my_attention.yaml",
        "conf/ablation/mine.yaml",
    }
    assert not {path for path in named - made_up if not (ROOT / path).exists()} - {"naive.py"}


def test_the_course_has_every_notebook() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", read("notebooks/README.md"), re.MULTILINE)
    assert sorted(listed) == sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
