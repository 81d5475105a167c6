"""Released folders: read with what they may lack, written whole or not at all."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import lab
from lab.errors import ConfigError
from lab.model.checkpoint import shards
from lab.model.checkpoint.reader import load_released
from lab.model.checkpoint.shards import INDEX, SINGLE
from lab.model.checkpoint.writer import export_released

from .released_folders import build, change


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return export_released(build("ax_k2"), tmp_path / "released", dtype=torch.float32)


def test_ax_k1_reads_what_its_folders_may_lack_or_hold_unused(tmp_path: Path) -> None:
    model = build("ax_k1")
    folder = export_released(model, tmp_path / "released", dtype=torch.float32)
    names = set(load_file(folder / SINGLE))
    assert not [name for name in names if "correction_bias" in name]
    assert "model.layers.0.post_mlp_layernorm.weight" not in names
    change(
        folder,
        {
            "model.layers.0.post_mlp_layernorm.weight": torch.randn(32),
            "model.layers.1.mlp.gate.e_score_correction_bias": torch.tensor([0.5, 0.0, -0.5, 0.25]),
        },
    )
    again = load_released(folder)
    assert again.routers()[0].selection_bias.tolist() == [0.5, 0.0, -0.5, 0.25]
    change(folder, {"model.layers.1.mlp.gate.e_score_correction_bias": None})
    expected = model.eval().state_dict()
    found = load_released(folder).state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_bfloat16_on_disk_keeps_selection_biases_in_float32(tmp_path: Path) -> None:
    model = build("solar_open").eval()
    model.routers()[0].selection_bias.normal_()
    folder = export_released(model, tmp_path / "released")
    types = {tensor.dtype for name, tensor in load_file(folder / SINGLE).items() if "correction" not in name}
    assert types == {torch.bfloat16}
    again = load_released(folder, dtype=torch.bfloat16)
    assert again.head.weight.dtype == torch.bfloat16
    assert torch.equal(again.routers()[0].selection_bias, model.routers()[0].selection_bias)
    assert torch.equal(again.head.weight, model.head.weight.bfloat16())


def test_notes_on_parameters_survive_loading(tmp_path: Path) -> None:
    folder = export_released(build("solar_open_2"), tmp_path / "released", dtype=torch.float32)
    decayless = [
        name for name, p in load_released(folder).named_parameters() if hasattr(p, "no_weight_decay")
    ]
    assert decayless == ["blocks.1.mixer.A_log", "blocks.1.mixer.dt_bias"]


def test_lab_loads_a_released_checkpoint(folder: Path) -> None:
    assert torch.equal(lab.load(folder).head.weight, load_released(folder).head.weight)


def test_tied_embeddings_stay_tied(tmp_path: Path) -> None:
    folder = export_released(build("motif_2_6b"), tmp_path / "released", dtype=torch.float32)
    again = load_released(folder)
    assert again.head.weight is again.embedding.weight
    assert "lm_head.weight" not in load_file(folder / SINGLE)


def test_a_folder_is_complete_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    write = shards._write_file

    def fails_at_the_second_file(path: Path, *arguments: object) -> None:
        written.append(path)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        write(path, *arguments)

    monkeypatch.setattr(shards, "_write_file", fails_at_the_second_file)
    with pytest.raises(OSError, match="No space left"):
        export_released(build("llama"), tmp_path / "released", shard_bytes=50_000)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(folder: Path) -> None:
    before = (folder / SINGLE).read_bytes()
    with pytest.raises(ConfigError, match="is not empty: choose a new folder"):
        export_released(build("llama"), folder)
    assert (folder / SINGLE).read_bytes() == before


def test_tokenizer_files_and_token_ids_are_passed_on(tmp_path: Path) -> None:
    source = tmp_path / "tokenizer"
    source.mkdir()
    (source / "tokenizer.json").write_text('{"model": "예"}', encoding="utf-8")
    (source / "weights.bin").write_text("not a tokenizer file")
    ids = {"bos_token_id": 1, "eos_token_id": [2, 3]}
    folder = export_released(build("llama"), tmp_path / "released", tokenizer=source, token_ids=ids)
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "generation_config.json",
        SINGLE,
        "tokenizer.json",
    ]
    assert (folder / "tokenizer.json").read_bytes() == (source / "tokenizer.json").read_bytes()
    for name in ("config.json", "generation_config.json"):
        assert ids.items() <= json.loads((folder / name).read_text()).items()


def test_a_generation_config_is_passed_on_and_a_missing_tokenizer_told(tmp_path: Path) -> None:
    source = tmp_path / "tokenizer"
    source.mkdir()
    (source / "generation_config.json").write_text('{"temperature": 0.6}')
    with pytest.raises(ConfigError, match=r"tokenizer=.*must hold tokenizer\.json"):
        export_released(build("llama"), tmp_path / "released", tokenizer=source)
    assert not (tmp_path / "released").exists()
    (source / "tokenizer.json").write_text("{}")
    folder = export_released(build("llama"), tmp_path / "released", tokenizer=source)
    assert json.loads((folder / "generation_config.json").read_text()) == {"temperature": 0.6}


def test_shards_hold_what_the_index_says(tmp_path: Path) -> None:
    folder = export_released(build("k_exaone"), tmp_path / "released", shard_bytes=60_000)
    index = json.loads((folder / INDEX).read_text())
    files = sorted(path.name for path in folder.glob("*.safetensors"))
    assert files == [f"model-{i + 1:05d}-of-{len(files):05d}.safetensors" for i in range(len(files))]
    assert len(files) > 3
    for file in files:
        tensors = load_file(folder / file)
        assert {name for name, where in index["weight_map"].items() if where == file} == set(tensors)
        size = sum(tensor.nbytes for tensor in tensors.values())
        assert size <= 60_000 or len(tensors) == 1
    assert index["metadata"]["total_size"] == sum(
        tensor.nbytes for file in files for tensor in load_file(folder / file).values()
    )
