"""The widget that swaps mechanisms, without a browser: its widgets are set as a hand would."""

import sys

import pytest
import yaml

import lab
from lab.config import compose
from lab.errors import ConfigError
from lab.mechanisms import GROUPS, Swap, change, options_of, own_mechanisms
from lab.model.config import ModelConfig
from lab.model.size import size
from lab.overrides import CONF
from lab.report import formats


@pytest.fixture
def swap() -> Swap:
    pytest.importorskip("ipywidgets")
    return lab.swap(["model=solar_open"])


def test_without_ipywidgets_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ConfigError, match="ipywidgets is not installed"):
        lab.swap()


def test_every_group_of_mechanisms_has_a_dropdown_with_every_option(swap: Swap) -> None:
    assert set(GROUPS) == {path.name for path in (CONF / "model").iterdir() if path.is_dir()}
    assert set(GROUPS) < set(ModelConfig.__dataclass_fields__)
    for group in GROUPS:
        own = own_mechanisms("solar_open")[group]
        assert [label for label, _ in swap.widgets[group].options] == [
            f"{own}, its own",
            *options_of(f"model/{group}"),
        ]
        assert swap.widgets[group].label == f"{own}, its own"
    assert {value for _, value in swap.widgets["model"].options} == set(options_of("model"))


@pytest.mark.parametrize("name", ["k_exaone", "ax_k2", "motif_3"])
def test_its_own_mechanisms_are_those_that_are_built(name: str) -> None:
    model = compose([f"model={name}"]).model
    for group, option in own_mechanisms(name).items():
        file = yaml.safe_load((CONF / "model" / group / f"{option}.yaml").read_text(encoding="utf-8"))
        assert file["kind"] == getattr(model, group).kind


def test_a_swap_is_the_configuration_that_its_overrides_compose(swap: Swap) -> None:
    assert swap.config == compose(["model=solar_open", "scale=nano"])
    assert "%" not in swap.text.value.split("</style>")[1], "nothing changed yet"
    swap.widgets["attention"].value = "grouped_differential"
    swap.widgets["scale"].value = "published"
    swap.widgets["more"].value = "model.layers.window=64 'data.path=two words'"
    assert swap.overrides == [
        "model=solar_open",
        "scale=published",
        "model/attention=grouped_differential",
        "model.layers.window=64",
        "data.path=two words",
    ]
    swap.widgets["more"].value = ""
    assert swap.config == compose(swap.overrides)


def test_the_table_shows_both_sizes_and_the_change(swap: Swap) -> None:
    swap.widgets["attention"].value = "latent"
    swap.widgets["context"].value = 512
    before, now = (
        size(compose(overrides).model, 512)
        for overrides in (["model=solar_open"], ["model=solar_open", "model/attention=latent"])
    )
    text = swap.text.value
    for record in (before, now):
        assert f"{record.parameters_total:,}" in text
        assert f"{record.parameters_active:,}" in text
        assert formats.size_in_bytes(record.cache_bytes_per_token) in text
        assert formats.flops(record.flops_per_token_training) in text
    for figure in ("parameters_total", "cache_bytes_per_token", "flops_per_token_training"):
        assert change(getattr(before, figure), getattr(now, figure)) in text
    assert "512 tokens" in text


def test_what_cannot_be_is_one_sentence_until_it_can(swap: Swap) -> None:
    swap.widgets["linear_attention"].value = "kimi_delta"
    assert "no layer of model.layers.pattern=G is D" in swap.text.value
    assert "<table" not in swap.text.value
    with pytest.raises(ConfigError, match="kimi_delta"):
        _ = swap.config
    swap.begin_here()
    assert swap.start == ["model=solar_open"], "an impossible start is refused"
    swap.widgets["more"].value = "model.layers.pattern=DDDG"
    assert "<table" in swap.text.value
    swap.widgets["more"].value = "'unclosed"
    assert "quotes must be closed" in swap.text.value
    swap.widgets["more"].value = "modle=llama"
    assert "did you mean" in swap.text.value


def test_another_model_keeps_what_was_swapped(swap: Swap) -> None:
    swap.widgets["attention"].value = "latent"
    swap.widgets["model"].value = "llama"
    assert swap.overrides == ["model=llama", "scale=nano", "model/attention=latent"]
    assert swap.widgets["router"].label == "none, its own"


def test_it_opens_where_it_is_told_and_begins_anew_where_it_stands() -> None:
    pytest.importorskip("ipywidgets")
    start = ["model=ax_k1", "scale=micro", "model/norm=gated_rms", "scale.width=64"]
    swap = lab.swap(start)
    assert set(swap.overrides) == set(start)
    swap.widgets["position"].value = "none"
    swap.begin_here()
    assert swap.start == swap.overrides
    assert "%" not in swap.text.value.split("</style>")[1]
    with pytest.raises(ConfigError, match="ax_k9 is not an option"):
        lab.swap(["model=ax_k9"])


def test_a_notebook_gets_a_widget(swap: Swap) -> None:
    bundle = swap._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in (bundle[0] if isinstance(bundle, tuple) else bundle)
    assert repr(swap) == "Swap(['model=solar_open', 'scale=nano'])"


def test_changes_are_written() -> None:
    assert [change(*pair) for pair in ((4, 4), (4, 5), (4, 3), (0, 3))] == ["–", "+25.0%", "-25.0%", "new"]
