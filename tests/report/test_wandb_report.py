"""The W&B Report: built and checked without a network, and one sentence for each way in which it can't be saved."""

import json

import pytest

from lab.report import wandb_report
from lab.report.language import say
from lab.report.sweep_page import sweep_report
from lab.report.sweep_table import sweep_table
from lab.report.sweeps import read_sweep
from lab.report.wandb_report import LeftOut, build, save

from .fabricated_page import fabricate_full_sweep

wr = pytest.importorskip("wandb_workspaces.reports.v2")
KEY = "c0ffee" * 7


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return read_sweep(fabricate_full_sweep(tmp_path_factory.mktemp("sweep")))


@pytest.fixture(scope="module")
def report(sweep):
    return sweep_report(sweep)


def test_it_says_what_the_page_says(sweep, report):
    built = build(report, "en", "house")
    assert (built.entity, built.project, built.title) == ("house", "sovereign-lab", sweep.question)
    headings = [block.text for block in built.blocks if isinstance(block, wr.H2)]
    assert headings == [section.title.en for section in report.sections]
    quotes = [block.text for block in built.blocks if isinstance(block, wr.BlockQuote)]
    assert quotes == [verdict.en for verdict in report.verdicts]
    tables = "\n".join(block.text for block in built.blocks if isinstance(block, wr.MarkdownBlock))
    for row in sweep_table(sweep).rows:
        assert row[sweep.metric].text in tables
    assert any("nope-middle-s4 failed" in str(block) for block in built.blocks)


def test_its_panels_draw_the_sweeps_runs_against_tokens(report):
    grids = [block for block in build(report, "en", "house").blocks if isinstance(block, wr.PanelGrid)]
    panels = [panel for grid in grids for panel in grid.panels]
    assert [list(panel.y) for panel in panels] == [["eval/bits_per_byte/ko"], ["train/loss"]]
    assert {panel.x for panel in panels} == {"tokens"}
    for grid in grids:
        (runs,) = grid.runsets
        assert (runs.entity, runs.project, runs.groupby) == ("house", "sovereign-lab", ["config.variant"])
        assert "position" in runs.filters
        assert "train" in runs.filters


def test_without_runs_at_wandb_it_has_no_panels_and_says_why(report):
    built = build(report, "both", "house", with_panels=False)
    assert not [block for block in built.blocks if isinstance(block, wr.PanelGrid)]
    texts = [block.text for block in built.blocks if isinstance(block, wr.P)]
    missing = say("wandb_no_runs", project="sovereign-lab")
    assert {missing.en, missing.ko} <= set(texts)


def test_it_is_saved_as_built(report, monkeypatch):
    """Through the library's own serialisation, with the service replaced at its one way out."""
    sent = {}

    class Api:
        default_entity, api_key = "house", KEY

        def projects(self, entity):
            return [type("Project", (), {"name": "sovereign-lab"})]

    def answer(api, query, variables):
        if "spec" not in variables:
            return {"project": {"internalId": "p1"}}
        sent.update(variables)
        view = {
            "id": "v1",
            "name": "n",
            "displayName": variables["displayName"],
            "description": variables["description"],
            "project": {"id": "p1", "name": "sovereign-lab", "entityName": "house"},
            "spec": variables["spec"],
            "user": None,
            "createdAt": "2026-11-24T00:00:00Z",
            "updatedAt": "2026-11-24T00:00:00Z",
        }
        return {"upsertView": {"view": view}}

    _open(monkeypatch, api=Api)
    monkeypatch.setattr("wandb_workspaces.reports.v2.interface._get_api", Api)
    monkeypatch.setattr("wandb_workspaces.reports.v2.interface.execute_graphql", answer)
    monkeypatch.setattr("wandb_workspaces.reports.v2.interface.get_app_url", lambda api: "https://wandb.ai")
    assert "wandb.ai/house/sovereign-lab/reports/" in save(report, "both")
    content = json.dumps(json.loads(sent["spec"]), ensure_ascii=False)
    assert "학습 곡선" in content
    assert "config.variant" in content.replace('"section": "config", "name": "variant', "config.variant")
    assert KEY not in content


def _open(monkeypatch, api=None, key=True):
    """A machine with a key and a server that answers."""
    monkeypatch.setattr("lab.trainer.wandb_key.has_key", lambda: key)
    monkeypatch.setattr(wandb_report, "_require_answer", lambda address: None)
    if api is not None:
        monkeypatch.setattr("wandb.Api", api)


def test_without_the_extra(report, monkeypatch):
    monkeypatch.setattr(wandb_report, "find_spec", lambda name: None)
    with pytest.raises(LeftOut, match=r"^wandb-workspaces isn't installed: run .*\[reports\]"):
        save(report, "en")


def test_without_a_key(report, monkeypatch):
    _open(monkeypatch, key=False)
    with pytest.raises(LeftOut, match=r"^no key was found: set WANDB_API_KEY or run `wandb login`$"):
        save(report, "en")


def test_with_a_key_that_is_none_by_its_form(report, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    with pytest.raises(LeftOut, match=r"^the key was refused \(.*API key must have") as refused:
        save(report, "en")
    assert "secret" not in str(refused.value)


def test_with_a_key_that_the_service_refuses(report, monkeypatch):
    import wandb

    def refuse():
        raise wandb.errors.AuthenticationError("Failed to verify credentials: user is not logged in.")

    _open(monkeypatch, api=refuse)
    with pytest.raises(LeftOut, match=r"^the key was refused \(Failed to verify .* not logged in\)$"):
        save(report, "en")


def test_without_a_network(report, monkeypatch):
    monkeypatch.setattr("lab.trainer.wandb_key.has_key", lambda: True)
    monkeypatch.setattr("lab.trainer.wandb_key.service", lambda: "http://127.0.0.1:9")
    with pytest.raises(LeftOut, match=r"^http://127\.0\.0\.1:9 can't be reached \(.*refused\)$"):
        save(report, "en")


def test_whatever_the_service_says_the_key_stays_out_of_it(report, monkeypatch):
    class Api:
        default_entity, api_key = "house", KEY

        def projects(self, entity):
            raise ConnectionError(f"bad request with {KEY}\nand more")

    _open(monkeypatch, api=Api)
    with pytest.raises(
        LeftOut, match=r"^the service did not take it \(ConnectionError: bad request with \*\*\*\)$"
    ):
        save(report, "en")
