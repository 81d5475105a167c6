"""Released folders: faults told all at once, nothing half-written, memory that does not follow the size."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import lab
from lab.config import compose
from lab.errors import ConfigError
from lab.model.checkpoint import writer
from lab.model.checkpoint.reader import load_released, open_released
from lab.model.checkpoint.shards import INDEX, SINGLE
from lab.model.checkpoint.writer import export_released
from lab.model.decoder import Decoder, initialise
from lab.overrides import CONF

TINY = [
    "scale.width=32",
    "scale.layers=2",
    "scale.vocab_size=512",
    "scale.experts=4",
    "scale.router_groups=2",
]


def build(contender: str) -> Decoder:
    return initialise(Decoder(compose([f"model={contender}", *TINY, "scale.router_groups_kept=1"]).model), 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return export_released(build("ax_k2"), tmp_path / "released", dtype=torch.float32)


def change(folder: Path, edit: dict[str, Tensor | None]) -> None:
    tensors = load_file(folder / SINGLE)
    for name, tensor in edit.items():
        if tensor is None:
            del tensors[name]
        else:
            tensors[name] = tensor
    save_file(tensors, folder / SINGLE)


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
    assert f"missing: model.norm.weight, {layer}.mlp.experts.3.up_proj.weight" in told
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


def test_only_safetensors_are_read(folder: Path) -> None:
    (folder / SINGLE).unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=rf"it has no {SINGLE}"):
        open_released(folder)


def test_a_folder_without_config_json_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"it must hold config\.json"):
        open_released(tmp_path)


@pytest.mark.parametrize(
    ("name", "told"), [("gone.safetensors", "it has no gone"), ("../x", "of its own folder")]
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
    calls = []

    def fails_at_the_second_file(*arguments: object, **options: object) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        save_file(*arguments, **options)

    monkeypatch.setattr(writer, "save_file", fails_at_the_second_file)
    with pytest.raises(OSError, match="No space left"):
        export_released(build("llama"), tmp_path / "released", shard_bytes=50_000)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(folder: Path) -> None:
    before = (folder / SINGLE).read_bytes()
    with pytest.raises(ConfigError, match="exists: choose a new one"):
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


def test_a_header_that_is_no_header_is_told(folder: Path) -> None:
    header = b'{"model.norm.weight": {"dtype": "F32"}}'
    (folder / SINGLE).write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ConfigError, match="is not a safetensors file"):
        open_released(folder)


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


PEAK = """
    import resource, sys
    import torch
    from lab.model.checkpoint.reader import open_released
    checkpoint = open_released(sys.argv[1])
    list(zip(range(2), checkpoint.tensors()))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    total = sum(tensor.nbytes for _, tensor in checkpoint.tensors())
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print((after - before) * 1024, total)
"""


def test_streaming_takes_the_memory_of_one_shard_and_one_layer(tmp_path: Path) -> None:
    sizes = ["scale.width=192", "scale.layers=6", "scale.expert_width=256", "scale.experts=16"]
    config = compose(["model=solar_open", *sizes, "scale.vocab_size=512"]).model
    folder = export_released(
        Decoder(config), tmp_path / "released", dtype=torch.float32, shard_bytes=5_000_000
    )
    largest_shard = max(path.stat().st_size for path in folder.glob("*.safetensors"))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PEAK), str(folder)],
        cwd=CONF.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    peak, total = map(int, done.stdout.split())
    one_layer = total / config.layers.count
    assert total > 5 * largest_shard
    assert peak < largest_shard + one_layer
