"""The command that converts: what it says, what it leaves when it is ended, and the memory it takes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from experiments.convert import ConvertSettings
from lab.config import compose, typed
from lab.convert import convert
from lab.errors import ConfigError
from lab.model.checkpoint.writer import export_released
from lab.model.decoder import Decoder
from lab.overrides import CONF, compose_container

from .run_folders import run_folder


def command(*words: str, before: str = "pass") -> subprocess.CompletedProcess[str]:
    program = f"import runpy, sys; {before}; runpy.run_module('experiments.convert', run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-c", program, *words], cwd=CONF.parent, capture_output=True, text=True, timeout=120
    )


@pytest.mark.usefixtures("cache")
def test_the_command_converts(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", "llama")
    done = command(f"source={run}", f"target={tmp_path / 'out'}", "dtype=bfloat16")
    assert done.returncode == 0, done.stderr
    assert "format llama, bfloat16, 1 file of weights" in done.stdout
    assert (tmp_path / "out" / "tokenizer.json").is_file()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("cache")
def test_an_ended_command_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", "llama")
    ends = (
        "import os; from lab.model.checkpoint import shards;"
        f"shards._write_file = lambda *_: os.kill(os.getpid(), {number.value})"
    )
    done = command(f"source={run}", f"target={tmp_path / 'out'}", before=ends)
    assert done.returncode == 128 + number
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "run"]


def test_the_command_says_what_is_wrong() -> None:
    done = command("source=lab", "target=out")
    assert done.returncode == 2
    assert "error: checkpoint=lab is neither a run folder nor a released checkpoint" in done.stderr
    assert done.stderr.strip().count("\n") == 0


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("source=nowhere", "source=nowhere cannot be used: it must be a folder"),
        ("max_shard_gigabytes=0", "max_shard_gigabytes=0.0 cannot be used: it must be above 0"),
        ("dtype=int4", "dtype=int4 is unknown: it can be auto, float32, bfloat16, float16"),
        ("format=gguf", "format=gguf is unknown: it can be auto, lab, released"),
        ("overwrite=maybe", "overwrite=maybe cannot be used: it must be true or false"),
    ],
)
def test_settings_are_checked_before_anything_is_read(word: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        typed(compose_container(["source=conf", "target=out", word], "convert"), ConvertSettings)


PEAK = """
import resource, sys
from lab.convert import convert
small, large, out = sys.argv[1:]
convert(small, f"{out}/warm")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
convert(large, f"{out}/lab")
convert(f"{out}/lab", f"{out}/released", shard_bytes=5_000_000)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.usefixtures("cache")
def test_conversion_takes_the_memory_of_one_shard_and_one_layer(tmp_path: Path) -> None:
    sizes = ["scale.width=192", "scale.layers=6", "scale.expert_width=256", "scale.experts=16"]
    small = convert(run_folder(tmp_path / "run", "solar_open"), tmp_path / "small").target
    config = compose(["model=solar_open", *sizes, "scale.vocab_size=512"]).model
    large = export_released(Decoder(config), tmp_path / "large", dtype=torch.float32, shard_bytes=5_000_000)
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(small), str(large), str(tmp_path)],
        cwd=CONF.parent,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    sizes_on_disk = [path.stat().st_size for path in large.glob("*.safetensors")]
    largest_shard, total = max(sizes_on_disk), sum(sizes_on_disk)
    assert total > 5 * largest_shard
    assert int(done.stdout) < largest_shard + total / config.layers.count
