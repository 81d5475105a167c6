"""Rules that every source file keeps."""

import ast
import re

import jupytext
import pytest

from tests.repository.files import ROOT, read, repository_files

LAB = repository_files("lab/*.py")
COMMANDS = repository_files("experiments/*.py")
NOTEBOOKS = repository_files("notebooks/*.ipynb")

MACHINE_PATH = re.compile(r"(?<![\w.:/~-])/(home|Users|root|work|tmp|opt|mnt)/\w")
PACKAGE_HOST = re.compile(
    r"pypi\.org|[p]ythonhosted|pytorch\.org/whl|anaconda\.(org|com)|npmjs\.|deb\.debian\.", re.I
)
UNSAFE_CALLS = {"torch.load", "torch.save", "hydra.utils.instantiate", "instantiate", "eval", "exec"}
UNSAFE_MODULES = {"pickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}


def text_files() -> list[str]:
    binary = (".png", ".jpg", ".safetensors", ".parquet", ".xz", ".gz", ".zip", ".whl")
    return [path for path in repository_files() if not path.endswith(binary)]


@pytest.mark.parametrize("pattern", [MACHINE_PATH, PACKAGE_HOST], ids=["machine paths", "package hosts"])
def test_no_file_names(pattern: re.Pattern[str]) -> None:
    found = [
        f"{path}:{number}: {line.strip()[:80]}"
        for path in text_files()
        for number, line in enumerate(read(path).splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("paths", "limit"), [(LAB, 299), (COMMANDS, 150)], ids=["lab", "experiments"])
def test_files_are_short(paths: list[str], limit: int) -> None:
    lengths = {path: len(read(path).splitlines()) for path in paths}
    assert not {path: length for path, length in lengths.items() if length > limit}


def test_nothing_is_unpickled_or_instantiated_by_name() -> None:
    found = []
    for path in [*LAB, *COMMANDS]:
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.Import):
                names = {alias.name.split(".")[0] for alias in node.names} & UNSAFE_MODULES
            elif isinstance(node, ast.ImportFrom):
                names = {(node.module or "").split(".")[0]} & UNSAFE_MODULES
            elif isinstance(node, ast.Call):
                names = {ast.unparse(node.func)} & UNSAFE_CALLS
            else:
                continue
            found += [f"{path}:{node.lineno}: {name}" for name in names]
    assert not found, "\n".join(found)


def test_every_module_says_what_it_is() -> None:
    paths = [*LAB, *COMMANDS]
    assert not [path for path in paths if not ast.get_docstring(ast.parse(read(path)))]


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_a_notebook_and_its_script_are_in_step(path: str) -> None:
    script = path.removesuffix(".ipynb") + ".py"
    assert (ROOT / script).is_file(), f"pair it: jupytext --set-formats ipynb,py:percent {path}"
    notebook, twin = jupytext.read(ROOT / path), jupytext.read(ROOT / script)
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == [
        (cell.cell_type, cell.source) for cell in twin.cells
    ], f"bring them in step: jupytext --sync {script}"


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_a_notebook_defines_nothing_and_ends_by_asserting(path: str) -> None:
    cells = [cell.source for cell in jupytext.read(ROOT / path).cells if cell.cell_type == "code"]
    code = [
        line for source in cells for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))
    ]
    assert not [node for node in ast.walk(ast.parse("\n".join(code))) if isinstance(node, ast.ClassDef)]
    assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cells[-1])))


def test_every_room_that_is_built_has_tests() -> None:
    rooms = {path.split("/")[1] for path in LAB if path.count("/") > 1 and not path.endswith("/__init__.py")}
    tested = {path.split("/")[1] for path in repository_files("tests/*/test_*.py")}
    assert rooms <= tested
