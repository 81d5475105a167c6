"""Small released folders for tests, and changes to them."""

from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from lab.config import compose
from lab.model.checkpoint.shards import SINGLE
from lab.model.decoder import Decoder, initialise

TINY = [
    "scale.width=32",
    "scale.layers=2",
    "scale.vocab_size=512",
    "scale.experts=4",
    "scale.router_groups=2",
    "scale.init_std=0.06",
    "scale.branch_init_scale=1",
]


def build(contender: str) -> Decoder:
    return initialise(Decoder(compose([f"model={contender}", *TINY, "scale.router_groups_kept=1"]).model), 0)


def change(folder: Path, edit: dict[str, Tensor | None]) -> None:
    tensors = load_file(folder / SINGLE)
    for name, tensor in edit.items():
        if tensor is None:
            del tensors[name]
        else:
            tensors[name] = tensor
    save_file(tensors, folder / SINGLE)
