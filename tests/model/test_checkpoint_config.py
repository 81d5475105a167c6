"""``config.json`` in and out: published files are our contenders, and what a file cannot say is refused."""

import json
import math
from typing import Any

import pytest

from lab.config import compose
from lab.errors import ConfigError
from lab.model.checkpoint.family import detect, format_for
from lab.model.checkpoint.hub_config import HubConfig
from lab.overrides import CONF

from .released_configs import FULL, PUBLISHED, YARN

CONTENDERS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_published_config_json_is_the_contender_at_published_scale(name: str) -> None:
    hub = HubConfig(PUBLISHED[name])
    read = detect(hub).read(hub)
    expected = compose([f"model={name}", "scale=published"]).model
    if expected.router.has_experts and expected.layers.num_dense == 0:
        read.feed_forward.width = expected.feed_forward.width  # no layer is dense
    assert read == expected


@pytest.mark.parametrize("name", CONTENDERS)
@pytest.mark.parametrize("scale", ["nano", "published"])
def test_what_we_write_says_the_whole_configuration(name: str, scale: str) -> None:
    config = compose([f"model={name}", f"scale={scale}"]).model
    family, values = format_for(config)
    assert detect(HubConfig(json.loads(json.dumps(values)))) is family


def test_a_mixture_of_houses_has_no_released_format() -> None:
    config = compose(["model=solar_open", "model/attention=grouped_differential"]).model
    with pytest.raises(ConfigError, match=r"solar_open cannot be exported.*attention=grouped_differential"):
        format_for(config)


@pytest.mark.parametrize(
    ("name", "override", "message"),
    [
        ("llama", "model.layers.pattern=LG", "model.layers cannot be exported as llama: layer 0"),
        ("ax_k2", "model.router.score_outside_groups=-1.0", "score_outside_groups=-1.0 cannot be exported"),
        ("solar_open_2", "+model.linear_attention.max_beta=1.5", "max_beta=1.5 cannot be exported"),
        ("motif_3", "model.layers.lead=L", "model.layers cannot be exported as motif_3"),
    ],
)
def test_what_a_format_cannot_say_is_refused(name: str, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        format_for(compose([f"model={name}", override]).model)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("k_exaone", {"hidden_act": "gelu"}, "hidden_act=gelu cannot be used: only silu"),
        ("k_exaone", {"hidden_size": None}, "has no hidden_size: it must be a whole number"),
        ("k_exaone", {"hidden_size": "wide"}, "hidden_size=wide cannot be used: it must be a whole number"),
        ("k_exaone", {"layer_types": [FULL]}, "it must list one item for each of 48 layers"),
        (
            "k_exaone",
            {"model_type": "qwen3"},
            "model_type=qwen3 cannot be used: formats known here are llama",
        ),
        ("k_exaone_2", {"swiglu_limits": [7.0] * 16 + [0.0] * 62}, "the last layers must share one limit"),
        ("ax_k1", {"rope_interleave": False}, "rope_interleave=False cannot be used"),
        ("ax_k1", {"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope_type=dynamic cannot be used"),
        ("solar_open_2", {"use_rope": True}, "use_rope=True cannot be used"),
        ("motif_2", {"num_key_value_heads": 8}, "num_key_value_heads=8 cannot be used: only 16"),
        ("motif_3", {"polynorm_sigmoid_weight": False}, "polynorm_sigmoid_weight=False cannot be used"),
        ("motif_3", {"rope_factor": 32}, "rope_factor=32 cannot be used: only 64"),
    ],
)
def test_a_config_json_we_would_compute_wrongly_is_refused(
    name: str, change: dict[str, Any], message: str
) -> None:
    hub = HubConfig({**PUBLISHED[name], **change})
    with pytest.raises(ConfigError, match=message):
        detect(hub).read(hub)


def test_motifs_are_told_apart_by_their_keys() -> None:
    names = {name: detect(HubConfig(PUBLISHED[name])).name for name in PUBLISHED if name.startswith("motif")}
    assert names == {"motif_2_6b": "motif", "motif_2": "motif", "motif_3": "motif_3"}


def test_deepseeks_softmax_temperature_is_read_for_latent_attention_only() -> None:
    rope = {**YARN, "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 32768}
    rope |= {"mscale": 1.0, "mscale_all_dim": 1.0}
    hub = HubConfig({**PUBLISHED["ax_k1"], "rope_parameters": rope})
    rotation = detect(hub).read(hub).position.rotation(is_local=False)
    assert rotation is not None
    assert rotation.magnitude == 1.0
    assert rotation.softmax_scale == pytest.approx((0.1 * math.log(4.0) + 1) ** 2)
    solar = HubConfig({**PUBLISHED["solar_open"], "rope_parameters": rope})
    rotation = detect(solar).read(solar).position.rotation(is_local=False)
    assert rotation is not None
    assert (rotation.magnitude, rotation.softmax_scale) == (1.0, 1.0)
