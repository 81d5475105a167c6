"""Released formats: layouts cover every tensor, and models survive the way out and back."""

import math
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from lab.config import compose
from lab.model.checkpoint.family import FAMILIES, format_for
from lab.model.checkpoint.reader import load_released, skeleton
from lab.model.checkpoint.writer import export_released
from lab.model.config import ModelConfig
from lab.model.decoder import Decoder, initialise
from lab.overrides import CONF

CONTENDERS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))


@pytest.mark.parametrize("name", CONTENDERS)
def test_the_layout_covers_every_tensor_once(name: str) -> None:
    config = compose([f"model={name}", "scale=published"]).model
    entries = list(format_for(config)[0].entries(config))
    shapes = {key: tensor.shape for key, tensor in skeleton(config).state_dict().items()}
    if config.tied_embeddings:
        del shapes["head.weight"]
    assert sorted(key for entry in entries for key in entry.ours) == sorted(shapes)
    on_disk = [tensor.name for entry in entries for tensor in entry.stored]
    assert len(set(on_disk)) == len(on_disk)
    for entry in entries:
        if entry.arrangement is None and entry.ours:
            numbers = sum(math.prod(tensor.shape) for tensor in entry.stored)
            assert numbers == math.prod(shapes[entry.ours[0]]), entry.ours


@pytest.mark.parametrize("name", CONTENDERS)
def test_a_model_survives_export_and_import(name: str, tmp_path: Path) -> None:
    sizes = ["scale.width=64", "scale.layers=4", "scale.vocab_size=512", "scale.branch_init_scale=1"]
    config = compose([f"model={name}", *sizes]).model
    model = initialise(Decoder(config), 0).eval()
    for router in model.routers():
        router.selection_bias.normal_()
    folder = export_released(model, tmp_path / "first", dtype=torch.float32, shard_bytes=400_000)
    again = load_released(folder)
    assert again.config.plan() == config.plan()
    expected, found = model.state_dict(), again.state_dict()
    assert expected.keys() == found.keys()
    for key in expected:
        assert torch.equal(expected[key], found[key]), key
    tokens = torch.randint(0, 512, (2, 19))
    assert torch.equal(again.logits(tokens), model.logits(tokens))
    export_released(again, tmp_path / "second", dtype=torch.float32, shard_bytes=400_000)
    for path in sorted(folder.iterdir()):
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes(), path.name


def test_every_family_names_the_same_groups() -> None:
    groups = {frozenset(family.kinds) for family in FAMILIES}
    assert len(groups) == 1
    assert groups.pop() < {field.name for field in fields(ModelConfig)}
