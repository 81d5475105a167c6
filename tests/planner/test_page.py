"""The page, without a browser: what its widgets ask is what the planner answers."""

import sys

import pytest

from experiments.calibrate import published_model
from lab.errors import ConfigError
from lab.planner.page import Page, page


@pytest.fixture(scope="module")
def models():
    return {name: published_model(name) for name in ("motif_3", "llama")}


def test_without_ipywidgets_one_sentence(models, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ConfigError, match="ipywidgets is not installed"):
        page(models)


def test_a_page_answers(models):
    pytest.importorskip("ipywidgets")
    shown = Page(models)
    assert "Motif 3 on 12.5 trillion tokens" in shown.text.value
    assert bytes(shown.picture.value).startswith(b"\x89PNG")
    before = shown.text.value
    shown.widgets["devices"].value = 1024
    assert shown.text.value != before
    shown.widgets["days"].value = 1
    assert "calendar binds" in shown.text.value
    assert not bytes(shown.picture.value)
    shown.widgets["as_many"].value = True
    shown.widgets["figure"].value = "doubt"
    assert bytes(shown.picture.value).startswith(b"\x89PNG")
