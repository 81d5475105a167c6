"""The packages that are declared are those that are used, everywhere the same."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from typing import Any

import pytest
import yaml

from tests.repository.files import ROOT, read, repository_files

PROJECT: dict[str, Any] = tomllib.loads(read("pyproject.toml"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def requirements(*extras: str) -> set[str]:
    """Runtime requirements and those of ``extras``, without references to the project itself."""
    every = [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]
    return {line for line in every if not line.startswith(PROJECT["name"])}


def normalised(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def imported_distributions() -> set[str]:
    """Distributions that lab/ and experiments/ import anywhere, inside functions included."""
    modules = set()
    for path in repository_files("lab/*.py", "experiments/*.py"):
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module.split(".")[0])
    # Triton comes with PyTorch for GPUs, or by an extra that the tests do without
    modules -= set(sys.stdlib_module_names) | {"lab", "experiments", "triton"}
    owners = packages_distributions()
    missing = sorted(modules - set(owners))
    assert not missing, f"imported, but no installed package has it: {missing}"
    return {normalised(owners[module][0]) for module in modules}


@pytest.mark.parametrize("requirement", sorted(requirements(*EXTRAS)))
def test_every_requirement_is_pinned(requirement: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9A-Za-z.]*", requirement)


def test_conda_environment_has_the_same_pins() -> None:
    dependencies = yaml.safe_load(read("environment.yml"))["dependencies"]
    assert f"python{PROJECT['requires-python']}" in dependencies
    (by_pip,) = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    assert by_pip[-1] == "--editable ."
    assert set(by_pip[:-1]) == requirements("notebooks", "evaluation", "dev")


def test_a_run_imports_what_is_declared_and_nothing_else() -> None:
    extras = [
        *EXTRAS["evaluation"],
        *EXTRAS["notebooks"],
        *EXTRAS["reports"],
        "ipython",
    ]  # ipykernel brings ipython
    optional = {normalised(line.split("==")[0]) for line in extras}
    declared = {normalised(line.split("==")[0]) for line in PROJECT["dependencies"]}
    assert imported_distributions() - optional == declared


def test_the_installer_asks_for_the_python_that_the_project_asks_for() -> None:
    lowest = PROJECT["requires-python"].removeprefix(">=")
    assert f"sys.version_info < ({lowest.replace('.', ', ')})" in read("tools/setup.sh")
    assert f"Programming Language :: Python :: {lowest}" in PROJECT["classifiers"]


def test_the_installed_packages_are_the_pinned_ones() -> None:
    from importlib.metadata import version

    for line in requirements("notebooks", "evaluation", "dev"):
        name, pinned = line.split("==")
        assert version(name).split("+")[0] == pinned, name


def test_licence_is_the_apache_licence() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
