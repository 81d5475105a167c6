"""Damaged folders: every fault is told, all at once, before a number is read."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lab.errors import ConfigError
from lab.model.checkpoint.reader import load_released, open_released
from lab.model.checkpoint.shards import INDEX, SINGLE
from lab.model.checkpoint.writer import export_released

from .released_folders import build, change


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return export_released(build("ax_k2"), tmp_path / "released", dtype=torch.float32)


def test_all_faults_are_told_in_one_error(folder: Path) -> None:
    layer = "model.layers.1"
    change(
        folder,
        {
            "model.norm.weight": None,
            f"{layer}.mlp.experts.3.up_proj.weight": None,
            f"{layer}.self_attn.rotary_emb.inv_freq": torch.ones(4),
            f"{layer}.mlp.gate.weight": torch.zeros(3, 32),
            f"{layer}.self_attn.o_proj.weight": torch.zeros(32, 128).to(torch.float8_e4m3fn),
        },
    )
    with pytest.raises(ConfigError) as error:
        load_released(folder)
    told = str(error.value)
    assert f"tensors missing: model.norm.weight, {layer}.mlp.experts.3.up_proj.weight" in told
    assert f"not of this architecture: {layer}.self_attn.rotary_emb.inv_freq" in told
    assert f"of the wrong shape: {layer}.mlp.gate.weight [3, 32] for [4, 32]" in told
    assert f"of a type that cannot be read: {layer}.self_attn.o_proj.weight F8_E4M3" in told
    assert told.count("\n") == 0


def test_a_truncated_file_is_told_by_its_tensors(folder: Path) -> None:
    whole = (folder / SINGLE).read_bytes()
    (folder / SINGLE).write_bytes(whole[:-100])
    with pytest.raises(ConfigError, match="truncated: "):
        open_released(folder)
    (folder / SINGLE).write_bytes(whole[:200])
    with pytest.raises(ConfigError, match="ends within its header"):
        open_released(folder)


def test_a_long_list_of_faults_is_counted(folder: Path) -> None:
    tensors = load_file(folder / SINGLE)
    save_file({f"renamed.{name}": tensor for name, tensor in tensors.items()}, folder / SINGLE)
    with pytest.raises(ConfigError, match=rf"and {len(tensors) - 20} more"):
        open_released(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "consolidated.pth", "model.pt"])
def test_only_safetensors_are_read(folder: Path, name: str) -> None:
    (folder / SINGLE).rename(folder / name)
    with pytest.raises(ConfigError, match=rf"it holds {name}, which can run code .* only safetensors"):
        open_released(folder)


def test_a_missing_file_is_told_without_its_tensors(folder: Path) -> None:
    (folder / SINGLE).unlink()
    with pytest.raises(ConfigError, match=rf"it has files: {SINGLE} is not there\.$"):
        open_released(folder)


def test_faults_of_several_files_are_told_together(tmp_path: Path) -> None:
    folder = export_released(build("ax_k1"), tmp_path / "released", dtype=torch.float32, shard_bytes=60_000)
    first, second, third, fourth = sorted(path.name for path in folder.glob("*.safetensors"))[:4]
    where = json.loads((folder / INDEX).read_text())["weight_map"]
    gone = {name for name, file in where.items() if file == first}
    (folder / first).unlink()
    (folder / second).write_bytes(b"no header here, and no numbers either")
    cut = (folder / third).read_bytes()
    (folder / third).write_bytes(cut[:-4])
    tensors = load_file(folder / fourth)
    renamed = next(iter(tensors))
    save_file({f"old.{name}" if name == renamed else name: t for name, t in tensors.items()}, folder / fourth)
    with pytest.raises(ConfigError) as error:
        open_released(folder)
    told = str(error.value)
    assert f"files: {first} is not there, {second} ends within its header" in told
    assert f"tensors missing: {renamed};" in told
    assert f"tensors not of this architecture: old.{renamed};" in told
    assert "tensors truncated: " in told
    assert f"tensors not where the index says: old.{renamed}" in told
    assert not [name for name in gone if name in told]


def test_an_index_that_points_to_another_file_is_told(tmp_path: Path) -> None:
    folder = export_released(build("llama"), tmp_path / "released", shard_bytes=30_000)
    index = json.loads((folder / INDEX).read_text())
    name, *_ = [name for name in index["weight_map"] if name.endswith("q_proj.weight")]
    index["weight_map"][name] = max(index["weight_map"].values())
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(ConfigError, match=f"it has tensors not where the index says: {name}"):
        open_released(folder)


@pytest.mark.parametrize("text", ["{}", '{"weight_map": 1}', '{"weight_map": {"a": 1}}', "[]", "no json"])
def test_a_broken_index_is_told(folder: Path, text: str) -> None:
    (folder / INDEX).write_text(text)
    with pytest.raises(ConfigError, match=rf"{INDEX} cannot be (used|read): it must"):
        open_released(folder)


def test_every_kind_of_number_that_is_no_weight_is_told(folder: Path) -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    shape = load_file(folder / SINGLE)[name].shape
    for dtype, told in ((torch.int8, "I8"), (torch.float64, "F64"), (torch.float8_e5m2, "F8_E5M2")):
        change(folder, {name: torch.zeros(shape).to(dtype)})
        with pytest.raises(ConfigError, match=f"tensors of a type that cannot be read: {name} {told}"):
            open_released(folder)


def test_a_folder_without_config_json_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"it must hold config\.json"):
        open_released(tmp_path)


@pytest.mark.parametrize(
    ("name", "told"), [("gone.safetensors", "gone.safetensors is not there"), ("../x", "of its own folder")]
)
def test_an_index_names_files_of_its_folder(folder: Path, name: str, told: str) -> None:
    (folder / INDEX).write_text(json.dumps({"weight_map": {"model.norm.weight": name}}))
    with pytest.raises(ConfigError, match=told):
        open_released(folder)


def test_a_fused_matrix_that_mixes_its_blocks_is_refused(folder: Path) -> None:
    name = "model.layers.0.self_attn.q_b_proj.weight"
    fused = load_file(folder / SINGLE)[name]
    fused[0, -1] = 1e-6
    change(folder, {name: fused})
    with pytest.raises(ConfigError, match=f"{name} cannot be used: .* not zero"):
        load_released(folder)


def test_a_header_that_is_no_header_is_told(folder: Path) -> None:
    header = b'{"model.norm.weight": {"dtype": "F32"}}'
    (folder / SINGLE).write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ConfigError, match="is not a safetensors file"):
        open_released(folder)
