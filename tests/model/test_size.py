"""Sizes keep their word: published integers, and every module built on the meta device."""

import json
import subprocess
import sys

import pytest
import torch

from lab.config import compose
from lab.model.checkpoint.census import released_forms
from lab.model.decoder import Decoder
from lab.model.leaves.layers import keys_seen
from lab.model.size import size
from lab.overrides import CONF

CONTENDERS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))

# Parameters without selection-bias buffers; sources: the model reports' own counts, or the released tensors.
PUBLISHED = {
    "llama": ([], 8_030_261_248, 8_030_261_248),
    "k_exaone": ([], 237_099_663_616, None),
    "k_exaone without multi-token": (
        ["model=k_exaone", "model/multi_token=none"],
        236_571_150_336,
        23_668_279_296,
    ),
    "k_exaone_2": ([], 749_357_465_344, None),
    "k_exaone_2 without multi-token": (
        ["model=k_exaone_2", "model/multi_token=none"],
        748_828_952_064,
        37_340_775_936,
    ),
    "ax_k1": ([], 518_983_052_288, 32_779_332_608),
    "ax_k2": ([], 689_771_321_600, 34_453_264_640),
    "solar_open": ([], 102_651_793_408, 12_054_827_008),
    "solar_open_2": ([], 250_287_794_944, 14_735_682_304),
    "motif_2_6b": ([], 2_597_218_432, 2_597_218_432),
    "motif_2": ([], 12_703_860_896, 12_703_860_896),
    # 314,841,775,750 values with the 51 x 384 selection biases
    "motif_3": ([], 314_841_775_750 - 51 * 384, None),
}


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published_sizes_are_exact(name: str) -> None:
    overrides, total, active = PUBLISHED[name]
    record = size(compose([*(overrides or [f"model={name}"]), "scale=published"]).model, 4096)
    assert record.parameters_total == total
    if active is not None:
        assert record.parameters_active == active


@pytest.mark.parametrize("scale", ["nano", "published"])
@pytest.mark.parametrize("contender", CONTENDERS)
def test_the_built_module_has_the_predicted_parameters(contender: str, scale: str) -> None:
    config = compose([f"model={contender}", f"scale={scale}"]).model
    with torch.device("meta"):
        model = Decoder(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == size(config, 256).parameters_total


@pytest.mark.parametrize(("window", "sequence"), [(None, 1), (None, 7), (1, 5), (3, 7), (7, 7), (64, 7)])
def test_keys_seen_is_the_average_over_a_causal_sequence(window: int | None, sequence: int) -> None:
    counted = [min(position + 1, window or sequence) for position in range(sequence)]
    assert keys_seen(window, sequence) == pytest.approx(sum(counted) / sequence)


# The released form: tensors, values (selection biases included) and parameters (those without), with and without
# the multi-token block. None where no count of tensors was published.
RELEASED = {
    ("k_exaone", "without_multi_token"): (None, 236_571_156_352, 236_571_150_336),
    ("k_exaone", "with_multi_token"): (None, 237_099_669_632, 237_099_663_616),
    ("k_exaone_2", "without_multi_token"): (None, 748_828_971_520, 748_828_952_064),
    ("k_exaone_2", "with_multi_token"): (59_396, 749_357_484_800, 749_357_465_344),
    ("ax_k1", "without_multi_token"): (None, 518_983_052_288, 518_983_052_288),
    ("ax_k2", "without_multi_token"): (None, 691_690_231_040, 691_690_215_680),
    ("solar_open", "without_multi_token"): (None, 102_651_799_552, 102_651_793_408),
    ("solar_open_2", "without_multi_token"): (None, 250_287_810_304, 250_287_794_944),
    ("motif_2_6b", "without_multi_token"): (514, 2_597_218_432, 2_597_218_432),
    ("motif_2", "without_multi_token"): (643, 12_703_860_896, 12_703_860_896),
    ("motif_3", "without_multi_token"): (None, 314_590_623_874, 314_590_604_290),
    ("motif_3", "with_multi_token"): (2_236, 314_841_775_750, 314_841_756_166),
}


@pytest.mark.parametrize(("name", "form"), sorted(RELEASED))
def test_released_forms_are_counted_to_the_last_value(name: str, form: str) -> None:
    found = released_forms(compose([f"model={name}", "scale=published"]).model)[form]
    tensors, values, parameters = RELEASED[name, form]
    assert (found.values, found.parameters) == (values, parameters)
    if tensors is not None:
        assert found.tensors == tensors


def test_k_exaone_2_takes_the_published_number_of_bytes() -> None:
    forms = released_forms(compose(["model=k_exaone_2", "scale=published"]).model)
    assert forms["with_multi_token"].bytes == 1_498_715_008_512


def test_a_mixture_of_houses_has_no_released_form() -> None:
    assert released_forms(compose(["model=solar_open", "model/attention=latent"]).model) == {}


def test_the_command_prints_one_object_and_imports_no_torch() -> None:
    program = (
        "import sys, runpy; sys.argv[0] = 'experiments.size'; runpy.run_module('experiments.size', run_name='__main__')"
        "; assert 'torch' not in sys.modules"
    )
    words = ["model=k_exaone", "scale=published", "sequence=4096", "format=json"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True, timeout=60
    )
    printed = json.loads(done.stdout)
    assert printed["parameters_total"] == 237_099_663_616 == sum(printed["parts"].values())
    assert printed["released"]["without_multi_token"]["parameters"] == 236_571_150_336
    assert printed["flops_per_token"]["training"] == 3 * printed["flops_per_token"]["forward"] > 0
    assert printed["cache_bytes_per_token"] == 48 * 1024  # 12 global layers
    assert printed["cache_bytes_fixed"] == 18 * 1024**2  # 36 windows of 128 keys
    assert printed["weight_bytes_bfloat16"] == 2 * printed["parameters_total"]
