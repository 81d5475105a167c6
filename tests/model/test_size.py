"""Sizes keep their word: published integers, and every module built on the meta device."""

import pytest
import torch

from lab.config import compose
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
