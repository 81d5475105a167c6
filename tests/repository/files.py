"""What the tests of the repository read: its root, its files and its documents."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def repository_files(*patterns: str) -> list[str]:
    """Files that are or would be committed, relative to the root; ``patterns`` are git's."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(path for path in listed if (ROOT / path).is_file())


def read(path: str) -> str:
    """The text of a file of the repository."""
    return (ROOT / path).read_text(encoding="utf-8")


def fenced_blocks(document: str, language: str) -> list[str]:
    """The contents of a document's code blocks in ``language``."""
    return re.findall(rf"^```{language}\n(.*?)^```$", read(document), re.MULTILINE | re.DOTALL)


def shell_commands(document: str) -> list[str]:
    """The commands in a document's shell blocks, one a line."""
    lines = "".join(fenced_blocks(document, "bash")).splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
