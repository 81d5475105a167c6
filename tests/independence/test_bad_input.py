"""What users hand over by mistake: one clear sentence, or a comparison that says what it had to leave out."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from experiments.audit import audit_pair
from lab.errors import ConfigError
from lab.independence.testbed.models import State, fresh
from lab.independence.verdicts import NOT_TESTABLE, SHARES
from lab.independence.weights import read_vocabulary
from lab.overrides import compose_container

QUICK = ("audit.rows=64", "audit.units=80", "audit.tokens=64", "audit.describe=false", "format=json")


def folder(path: Path, state: State) -> Path:
    path.mkdir()
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path / "model.safetensors")
    return path


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("audit") / "one", fresh(1))


class Told:
    """What the command said of two folders."""

    def __init__(self, text: str) -> None:
        result = json.loads(text)
        self.words = {verdict["module"]: verdict["words"] for verdict in result["verdicts"]}
        self.reasons = {verdict["module"]: verdict["reason"] for verdict in result["verdicts"]}
        self.notes = result["notes"]


def told(capsys: pytest.CaptureFixture[str], a: Path, b: Path, *words: str) -> Told:
    audit_pair(compose_container([f"a={a}", f"b={b}", *QUICK, *words], "audit"), [])
    return Told(capsys.readouterr().out)


def test_numbers_that_are_none(tmp_path: Path, one: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = fresh(2)
    nan = folder(tmp_path / "nan", {name: torch.full_like(t, float("nan")) for name, t in state.items()})
    zero = folder(tmp_path / "zero", {name: torch.zeros_like(t) for name, t in state.items()})
    for other, reason in ((nan, "holds NaN or infinity"), (zero, "is all zeros")):
        said = told(capsys, one, other)
        assert set(said.words.values()) == {NOT_TESTABLE}
        assert any(note.endswith(reason) and "(and 20 more)" in note for note in said.notes), said.notes


def test_parts_that_are_missing(tmp_path: Path, one: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trunk = {name: tensor for name, tensor in fresh(2).items() if "mixer." not in name}
    said = told(capsys, one, folder(tmp_path / "trunk", trunk))
    assert said.words["attention"] == NOT_TESTABLE
    assert said.reasons["attention"].startswith("none in ")
    assert said.words["embedding"].startswith("no shared weights detected above")
    assert said.words["embedding"].endswith("in another basis not testable")


def test_another_width_and_no_common_vocabulary(
    tmp_path: Path, one: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow = {name: t[: len(t) // 2, ..., :32].clone() for name, t in fresh(2).items() if t.ndim > 1}
    said = told(capsys, one, folder(tmp_path / "narrow", narrow))
    assert set(said.words.values()) == {NOT_TESTABLE}
    assert said.reasons["embedding"] == "widths 64 and 32 have no coordinates in common"


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float8_e4m3fn, torch.int8])
def test_other_types_are_read(
    tmp_path: Path, one: Path, capsys: pytest.CaptureFixture[str], dtype: torch.dtype
) -> None:
    scale = 500 if dtype == torch.int8 else 1
    state = {name: (scale * tensor).to(dtype) for name, tensor in fresh(1).items() if tensor.ndim > 1}
    assert told(capsys, one, folder(tmp_path / "typed", state)).words["whole"] == SHARES


def test_scalars_and_fixed_tables_are_no_weights(
    tmp_path: Path, one: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = torch.arange(64).sin()
    extra = {"scale": torch.tensor(2.0), "rotary.inv_freq": table, "blocks.0.attn.bias": table.clone()}
    other = folder(tmp_path / "other", fresh(2) | extra)
    said = told(capsys, folder(tmp_path / "first", fresh(1) | extra), other)
    assert said.words["whole"].startswith("no shared weights detected above")
    assert said.reasons["other"].startswith("no tensor of both")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("tokenizer.json", '{"model": null}'),
        ("tokenizer.json", '{"model": {"vocab": {"a": -1, "b": null}}}'),
        ("tokenizer.json", '{"model": {"vocab": [1, 2]}}'),
        ("tokenizer.json", "{not json"),
        ("vocab.json", "[1]"),
    ],
)
def test_a_vocabulary_that_is_none_is_unknown(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text)
    assert read_vocabulary(tmp_path) == (None, None)


def test_merges_that_are_none_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"model": {"vocab": {"a": 0}, "merges": [1, 2]}}')
    assert read_vocabulary(tmp_path) == ({"a": 0}, None)


def test_a_file_that_ends_too_early(tmp_path: Path, one: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut = folder(tmp_path / "cut", fresh(2))
    whole = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(whole[: len(whole) * 2 // 3])
    said = told(capsys, one, cut)
    assert any(note.endswith("is cut off") for note in said.notes)
    assert said.words["whole"] != SHARES
    (cut / "model.safetensors").write_bytes(whole[:100])
    with pytest.raises(ConfigError, match=r"b=.*whole safetensors.*ends within its header"):
        told(capsys, one, cut)


def test_a_shard_that_is_missing(tmp_path: Path, one: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = folder(tmp_path / "shards", fresh(2))
    (shards / "model.safetensors").rename(shards / "first.safetensors")
    listed = dict.fromkeys(fresh(2), "first.safetensors") | {
        "blocks.2.mixer.query.weight": "second.safetensors"
    }
    (shards / "model.safetensors.index.json").write_text(json.dumps({"weight_map": listed}))
    said = told(capsys, one, shards)
    assert any("second.safetensors is not there so its tensors are missing" in note for note in said.notes)
    assert any("blocks.2.mixer.query.weight" in note for note in said.notes)


def test_a_folder_with_itself(one: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audit_pair(compose_container([f"a={one}", f"b={one}", *QUICK, "format=markdown"], "audit"), [])
    said = capsys.readouterr()
    assert "Both are the same folder" in said.err
    assert "tensors of one name and shape are equal number by number" in said.err


def test_what_is_no_checkpoint(tmp_path: Path, one: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match=r"b=.*must be a folder with a checkpoint"):
        told(capsys, one, one / "model.safetensors")
    with pytest.raises(ConfigError, match=r"b=.*must hold whole safetensors weights.*is not there"):
        told(capsys, one, tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ConfigError, match="which can run code when it is opened"):
        told(capsys, one, tmp_path)


def test_probes_and_references(tmp_path: Path, one: Path, capsys: pytest.CaptureFixture[str]) -> None:
    probe = tmp_path / "probe.txt"
    probe.write_text("")
    with pytest.raises(ConfigError, match=r"probe=.*at least 8 lines"):
        told(capsys, one, one, f"probe={probe}")
    probe.write_bytes(b"\xff\xfe\xfa" * 10)
    with pytest.raises(ConfigError, match=r"probe=.*must be UTF-8"):
        told(capsys, one, one, f"probe={probe}")
    with pytest.raises(ConfigError, match=r"references=.*at least four"):
        told(capsys, one, one, f"references=[{one}]")
