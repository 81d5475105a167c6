"""Conversion: both ways without loss, streaming, whole or not at all; transformers reads what a run exports."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

import lab
from lab.config import compose, plain
from lab.convert import convert
from lab.errors import ConfigError
from lab.face import load_tokenizer, load_with_tokenizer
from lab.model.checkpoint.shards import INDEX, SINGLE
from lab.model.decoder import Decoder, initialise
from lab.overrides import CONF

from .released_folders import TINY
from .run_folders import TEXTS, run_folder


@pytest.mark.parametrize("contender", ["llama", "solar_open", "k_exaone", "ax_k1", "ax_k2"])
@pytest.mark.usefixtures("cache")
def test_transformers_reads_what_a_run_exports(contender: str, tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", contender)
    done = convert(run, tmp_path / "exported", shard_bytes=60_000)
    assert done.files > 1
    assert done.dtype == "float32"

    reference, report = AutoModelForCausalLM.from_pretrained(
        done.target, attn_implementation="eager", output_loading_info=True
    )
    assert not [name for name in report["missing_keys"] if "correction_bias" not in name]
    assert not report["unexpected_keys"]
    tokens = torch.randint(3, 300, (2, 37), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = reference.eval()(tokens, use_cache=False).logits
        ours = lab.load(run).logits(tokens)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-4)

    theirs, tokenizer = AutoTokenizer.from_pretrained(done.target), load_tokenizer(run)
    for text in TEXTS:
        assert theirs(text, add_special_tokens=False)["input_ids"] == tokenizer.encode(text)
        assert theirs.decode(tokenizer.encode(text)) == text
    assert (theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id) == (1, 2, 0)
    settings = GenerationConfig.from_pretrained(done.target)
    assert (settings.bos_token_id, settings.eos_token_id, settings.pad_token_id) == (1, 2, 0)


@pytest.mark.usefixtures("cache")
def test_a_released_folder_loads_with_its_tokenizer(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", "solar_open")
    convert(run, tmp_path / "released")
    convert(tmp_path / "released", tmp_path / "ours")
    model, tokenizer = load_with_tokenizer(run)
    tokens = torch.tensor([tokenizer.encode(TEXTS[0])])
    for name in ("released", "ours"):
        again, again_tokenizer = load_with_tokenizer(tmp_path / name)
        assert torch.equal(again.logits(tokens), model.logits(tokens))
        assert [again_tokenizer.encode(text) for text in TEXTS] == [tokenizer.encode(text) for text in TEXTS]
        assert (again_tokenizer.begin_id, again_tokenizer.end_id, again_tokenizer.pad_id) == (1, 2, 0)


@pytest.mark.usefixtures("cache")
def test_a_folder_that_does_not_name_its_special_tokens_is_told(tmp_path: Path) -> None:
    released = convert(run_folder(tmp_path / "run", "llama"), tmp_path / "released").target
    config = json.loads((released / "config.json").read_text())
    (released / "generation_config.json").unlink()

    def told(**changes: object) -> str:
        (released / "config.json").write_text(json.dumps({**config, **changes}))
        with pytest.raises(ConfigError) as error:
            load_with_tokenizer(released)
        return str(error.value)

    assert "does not say which token it begins and ends with" in told(eos_token_id=None)
    assert "eos_token_id=[] cannot be used: it must be a token's number" in told(eos_token_id=[])
    assert "has no token 4096, which eos_token_id names" in told(eos_token_id=4096)
    (released / "tokenizer.json").write_text("{}")
    assert "tokenizer.json cannot be read as a tokenizer" in told()
    (released / "tokenizer.json").unlink()
    assert "has no tokenizer: it must hold tokenizer.json" in told()


@pytest.mark.parametrize("contender", sorted(path.stem for path in (CONF / "model").glob("*.yaml")))
@pytest.mark.usefixtures("cache")
def test_nothing_is_lost_on_the_way_there_and_back(contender: str, tmp_path: Path) -> None:
    released = convert(
        run_folder(tmp_path / "run", contender), tmp_path / "released", shard_bytes=90_000
    ).target
    (released / "chat_template.jinja").write_text("{{ messages }}")
    ours = convert(released, tmp_path / "ours", shard_bytes=70_000).target
    assert not (ours / "config.json").exists()
    back = convert(ours, tmp_path / "back", shard_bytes=90_000).target
    assert sorted(path.name for path in back.iterdir()) == sorted(path.name for path in released.iterdir())
    for path in released.iterdir():
        assert path.read_bytes() == (back / path.name).read_bytes(), path.name
    expected, found = lab.load(tmp_path / "run").state_dict(), lab.load(ours).state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.usefixtures("cache")
def test_types_and_file_sizes_can_be_chosen(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", "solar_open")
    convert(run, tmp_path / "first", dtype=torch.bfloat16)
    again = convert(tmp_path / "first", tmp_path / "second", released=True, shard_bytes=40_000)
    assert (again.format, again.dtype) == ("solar_open", "bfloat16")
    files = json.loads((tmp_path / "second" / INDEX).read_text())["weight_map"]
    assert len(set(files.values())) == again.files > 3
    whole = load_file(tmp_path / "first" / SINGLE)
    assert {t.dtype for name, t in whole.items() if "correction" in name} == {torch.float32}
    for name, file in files.items():
        assert torch.equal(load_file(tmp_path / "second" / file)[name], whole[name])
    assert json.loads((tmp_path / "second" / "config.json").read_text())["dtype"] == "bfloat16"


@pytest.mark.usefixtures("cache")
def test_a_model_that_no_house_released_keeps_our_names(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", "solar_open")
    config = plain(compose(["model=solar_open", *TINY, "model/norm=gated_rms", "scale.router_groups_kept=1"]))
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    model = initialise(Decoder(compose(["model=solar_open", *TINY, "model/norm=gated_rms"]).model), 1)
    (step,) = (run / "checkpoints").iterdir()
    save_file(model.state_dict(), step / SINGLE)
    state = json.loads((step / "state.json").read_text())
    del state["files"][SINGLE]
    (step / "state.json").write_text(json.dumps(state))
    with pytest.raises(ConfigError, match="solar_open cannot be exported"):
        convert(run, tmp_path / "released")
    convert(run, tmp_path / "ours", released=False)
    assert torch.equal(lab.load(tmp_path / "ours").head.weight, model.head.weight)


@pytest.mark.usefixtures("cache")
def test_a_run_whose_settings_were_changed_is_told(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", "llama")
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("count: 2", "count: 3"))
    with pytest.raises(ConfigError, match=r"it has tensors missing: blocks\.2\.mixer\.query\.weight"):
        lab.load(run)


# Targets


@pytest.mark.usefixtures("cache")
def test_only_checkpoints_are_overwritten_and_only_when_asked(tmp_path: Path) -> None:
    run, target = run_folder(tmp_path / "run", "llama"), tmp_path / "target"
    target.mkdir()
    convert(run, target)  # an empty folder is in nobody's way
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    with pytest.raises(
        ConfigError, match=r"target=.* is not empty: choose a new folder, or give overwrite=true"
    ):
        convert(run, target, dtype=torch.bfloat16)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    convert(run, target, dtype=torch.bfloat16, overwrite=True)
    assert load_file(target / SINGLE)["model.norm.weight"].dtype == torch.bfloat16
    (target / "notes.md").write_text("mine")
    with pytest.raises(ConfigError, match=r"cannot be overwritten: it holds notes\.md"):
        convert(run, target, overwrite=True)
    with pytest.raises(ConfigError, match="it is the source"):
        convert(run, run, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "run", "target"]


@pytest.mark.usefixtures("cache")
def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    run, target = run_folder(tmp_path / "run", "llama"), tmp_path / "target"
    convert(run, target)
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    (tmp_path / ".target.partial").mkdir()  # what a killed process leaves is cleared away

    def fails(written: int, total: int) -> None:
        if written > total // 2:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        convert(run, target, overwrite=True, progress=fails)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "run", "target"]
