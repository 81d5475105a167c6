"""Memory of an audit goes by its largest tensor and not by the checkpoint; measured in processes of their own."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]
STATUS = Path("/proc/self/status")
WIDTH, HIDDEN, TOKENS = 512, 2048, 1024
BASE_MB = 0.55 * 2**30 / 1e6
LAYER_MB = (4 * WIDTH * WIDTH + 3 * WIDTH * HIDDEN) * 4 / 1e6
PEAK = """
import sys
from pathlib import Path
from experiments.audit import audit_pair
from lab.overrides import compose_container
audit_pair(compose_container(sys.argv[1:], "audit"), [])
(line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(int(line.split()[1]) * 1024 / 1e6, file=sys.stderr)
"""


def checkpoint(folder: Path, layers: int, seed: int) -> Path:
    chance = torch.Generator().manual_seed(seed)
    shapes = {"model.embed_tokens.weight": (TOKENS, WIDTH)}
    for layer in range(layers):
        at = f"model.layers.{layer}"
        shapes |= {f"{at}.self_attn.{part}_proj.weight": (WIDTH, WIDTH) for part in "qkvo"}
        shapes |= {f"{at}.mlp.{part}_proj.weight": (HIDDEN, WIDTH) for part in ("gate", "up")}
        shapes |= {f"{at}.mlp.down_proj.weight": (WIDTH, HIDDEN)}
    folder.mkdir()
    save_file(
        {name: torch.randn(shape, generator=chance) for name, shape in shapes.items()},
        folder / "model.safetensors",
    )
    return folder


def peak_mb(folder: Path, layers: int) -> float:
    a, b = (checkpoint(folder / f"{layers} layers, {seed}", layers, seed) for seed in (1, 2))
    words = [f"a='{a}'", f"b='{b}'", "audit.rows=64", "audit.units=80", "audit.tokens=64", "format=json"]
    line = [sys.executable, "-c", PEAK, *words, "audit.describe=false"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
    assert '"not testable"' in done.stdout
    return float(done.stderr.split()[-1])


@pytest.mark.skipif(not STATUS.is_file(), reason="the peak of a process's memory is read from Linux's /proc")
def test_four_times_the_layers_take_no_more_memory(tmp_path: Path) -> None:
    few, many = peak_mb(tmp_path, 2), peak_mb(tmp_path, 8)
    # to hold the added layers of one model would take six layers more, of both twelve; from run to run the peak
    # differs by one or two (7 to 34 MB were seen)
    assert many - few < 3 * LAYER_MB, "the peak goes by the checkpoint"
    largest = 4 * WIDTH * HIDDEN / 1e6
    assert many < BASE_MB + 3 * largest, "the room's README says so"
