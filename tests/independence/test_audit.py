"""Verdicts on whole models, in memory and through folders, and what cannot be compared."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lab.errors import ConfigError
from lab.independence.audit import Audit, audit
from lab.independence.config import AuditConfig
from lab.independence.testbed.derivations import copy_part
from lab.independence.testbed.kinds import CHILDREN
from lab.independence.testbed.models import State, as_weights, fresh
from lab.independence.verdicts import NOT_TESTABLE, SHARES
from lab.independence.weights import Weights, open_weights

QUICK = AuditConfig(rows=128, units=128, tokens=128, describe=False)


@pytest.fixture(scope="module")
def parent() -> State:
    return fresh(0)


def judged(a: State, b: State | Weights) -> Audit:
    return audit(as_weights("a", a), b if isinstance(b, Weights) else as_weights("b", b), QUICK)


UNTRAINED = [
    "pruning",
    "width cloning",
    "expert upcycling",
    "residual rotation",
    "rotation, units permuted, noise 0.3",
    "rescaling",
    "noise 1",
    "quantisation to 4 bits",
    "vocabulary swap",
]


@pytest.mark.parametrize("kind", UNTRAINED)
def test_children_share_weights(parent: State, kind: str) -> None:
    assert judged(parent, CHILDREN[kind](parent, 1)).verdict("whole").words == SHARES


def test_strangers_do_not(parent: State) -> None:
    result = judged(parent, fresh(1))
    assert result.verdict("whole").words.startswith("no shared weights detected above")
    assert result.verdict("router").words == NOT_TESTABLE
    assert all(f.corrected_p >= f.p_value for f in result.verdict("whole").findings)


def test_a_part_that_was_copied_is_named(parent: State) -> None:
    mixed = {n: parent[n] if ".mixer." in n else t for n, t in fresh(1).items()}
    result = judged(parent, mixed)
    assert result.verdict("attention").words == SHARES
    assert result.verdict("experts").words != SHARES


def test_a_small_copy_is_found(parent: State) -> None:
    child = as_weights("b", copy_part(parent, fresh(1), 0.023, 0))
    config = AuditConfig(units=80, tokens=64, describe=False)
    assert audit(as_weights("a", parent), child, config).verdict("whole").words == SHARES


@pytest.mark.parametrize("kind", ["residual rotation", "residual permutation, signs"])
def test_what_cannot_be_compared_in_another_basis_stays_open(parent: State, kind: str) -> None:
    result = judged(parent, CHILDREN[kind](parent, 1))
    assert result.verdict("attention").words == SHARES
    assert result.verdict("experts").words == SHARES
    assert result.verdict("embedding").words == NOT_TESTABLE
    assert "another basis" in result.verdict("embedding").reason


def test_other_widths_without_common_tokens_cannot_be_compared(parent: State) -> None:
    child = CHILDREN["width cloning"](parent, 0)
    child.vocabulary = {"foreign": 0}
    result = judged(parent, child)
    assert {verdict.words for verdict in result.verdicts} == {NOT_TESTABLE}


def test_faulty_tensors_are_left_out_by_name(parent: State) -> None:
    faulty = dict(fresh(1))
    faulty["head.weight"] = torch.full_like(faulty["head.weight"], float("nan"))
    faulty["blocks.0.mixer.query.weight"] = torch.zeros_like(faulty["blocks.0.mixer.query.weight"])
    del faulty["blocks.1.feed_forward.up.weight"]
    result = judged(parent, faulty)
    assert any("head.weight holds NaN" in note for note in result.notes)
    assert any("query.weight is all zeros" in note for note in result.notes)
    assert result.verdict("whole").words != SHARES


def write(folder: Path, state: State) -> str:
    folder.mkdir()
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "model.safetensors")
    return str(folder)


def test_folders_of_another_type_and_naming(tmp_path: Path, parent: State) -> None:
    names = {"mixer.query": "self_attn.q_proj", "feed_forward.up": "mlp.up_proj", "embedding": "embed_tokens"}
    foreign = {}
    for name, tensor in parent.items():
        for ours, theirs in {**names, "blocks.": "model.layers."}.items():
            name = name.replace(ours, theirs)
        foreign[name] = tensor.bfloat16()
    a, b = open_weights(write(tmp_path / "a", parent), "a"), open_weights(write(tmp_path / "b", foreign), "b")
    result = audit(a, b, QUICK)
    assert result.verdict("attention").words == SHARES
    assert result.verdict("embedding").words == SHARES


def test_folders_that_are_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a=.*must be a folder"):
        open_weights(str(tmp_path / "absent"), "a")
    with pytest.raises(ConfigError, match=r"b=.*must hold whole safetensors"):
        open_weights(str(tmp_path), "b")
    (tmp_path / "model.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(ConfigError, match="must hold whole safetensors"):
        open_weights(str(tmp_path), "a")


def test_too_few_draws_are_refused() -> None:
    with pytest.raises(ConfigError, match="draws=100"):
        AuditConfig(draws=100)
