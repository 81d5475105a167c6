"""Committed results: the same table as from the runs, and READMEs that show what their files say."""

import re
import shutil

import pytest

from lab.errors import ConfigError
from lab.report.runs import runs
from lab.report.sweep_committed import write_committed
from lab.report.sweep_files import export_sweep, table_block, write_tables
from lab.report.sweep_table import sweep_markdown, sweep_table
from lab.report.sweep_verdicts import comparisons
from lab.report.sweeps import read_sweep
from lab.report.tables import to_csv
from tests.repository.files import ROOT

from .fabricated_sweep import fabricate_sweep
from .test_sweep_reading import change_json

COMMITTED = sorted(path.parent for path in (ROOT / "experiments").glob("*/sweep.json"))


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.name)
def test_the_readme_shows_what_the_committed_files_say(folder):
    readme = (folder / "README.md").read_text(encoding="utf-8")
    sweep = read_sweep(folder)
    assert table_block(readme) == sweep_markdown(sweep), (
        f"python -m experiments.table sweep=experiments/{folder.name} brings the README up to date"
    )
    assert (folder / "table.csv").read_text() == to_csv(sweep_table(sweep))


def test_a_folder_of_an_experiment_has_all_that_its_table_is_made_from():
    """README, description, results, curves and figure: whoever reads the README can check each number of it."""
    folders = [
        path for path in (ROOT / "experiments").iterdir() if path.is_dir() and path.name != "__pycache__"
    ]
    wanted = {"README.md", "sweep.json", "results.csv", "curves.csv", "figure.svg", "table.csv"}
    lacking = {folder.name: wanted - {path.name for path in folder.iterdir()} for folder in folders}
    assert not {name: files for name, files in lacking.items() if files}
    for folder in folders:
        first = (folder / "README.md").read_text(encoding="utf-8").splitlines()[0]
        assert "python -m experiments.train -m ablation=" in first, (
            f"{folder.name}: the first line is the command"
        )


@pytest.fixture
def folder(tmp_path):
    return fabricate_sweep(tmp_path / "runs" / "position")


def test_the_table_from_committed_files_is_the_table_from_the_runs(folder, tmp_path):
    change_json(
        folder / "nope-middle-s3" / "status.json", lambda status: status.update(state="failed", error="NaN.")
    )
    change_json(folder / "rope-low-s100" / "job.json", lambda entry: entry.update(seconds=36.0))
    change_json(
        folder / "nope-middle-s4" / "results.json", lambda results: results["training"].update(flops=7e11)
    )
    sweep = read_sweep(folder)
    committed, written = export_sweep(sweep, tmp_path / "kept")
    shutil.rmtree(folder)
    assert sorted(path.name for path in written) == [
        "curves.csv",
        "figure.svg",
        "results.csv",
        "sweep.json",
        "table.csv",
    ]
    assert sweep_markdown(committed) == sweep_markdown(sweep)
    assert comparisons(committed, sweep.metric) == comparisons(sweep, sweep.metric), "at full precision"
    assert committed.notes == sweep.notes != ()
    assert committed.core_hours("rope") == pytest.approx(sweep.core_hours("rope"), rel=1e-12)
    for variant, band in committed.bands.items():
        assert band.num_runs == sweep.bands[variant].num_runs
        assert band.mean[-1] == pytest.approx(sweep.bands[variant].mean[-1], rel=1e-5)
    table = runs(tmp_path / "kept")
    assert len(table) == 24
    assert table["results.bits_per_byte.ko"].notna().sum() == 23, "not the failed one"


def test_the_readme_is_brought_up_to_date_between_its_marks(folder, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "README.md").write_text("Before.\n\n<!-- table -->\nold\n<!-- /table -->\n\nAfter.\n")
    export_sweep(read_sweep(folder), kept)
    readme = (kept / "README.md").read_text()
    assert readme.startswith("Before.\n\n<!-- table -->\n| Variant |")
    assert readme.endswith("<!-- /table -->\n\nAfter.\n")
    assert table_block(readme) == sweep_markdown(read_sweep(kept))
    (kept / "README.md").write_text("No marks.")
    with pytest.raises(ConfigError, match="has no place for the table"):
        write_tables(kept)


def test_results_of_another_sweep_are_not_written_over(folder, tmp_path):
    write_committed(read_sweep(folder), tmp_path / "kept")
    change_json(folder / "sweep.json", lambda it: it.update(name="other"))
    with pytest.raises(ConfigError, match="holds the results of position: choose another folder for other"):
        write_committed(read_sweep(folder), tmp_path / "kept")


def test_damaged_results_and_folders_that_cannot_be_written(folder, tmp_path):
    kept = tmp_path / "kept"
    write_committed(read_sweep(folder), kept)
    text = (kept / "results.csv").read_text()
    (kept / "results.csv").write_text(text[: text.rindex("compare") + 3])
    with pytest.raises(ConfigError, match=r"results\.csv is damaged"):
        read_sweep(kept)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        export_sweep(read_sweep(folder), tmp_path / "file" / "kept")


def test_the_figure_stands_alone(folder, tmp_path):
    """Every colour it uses is one it defines, for light and for dark; its drawings keep their place."""
    export_sweep(read_sweep(folder), tmp_path / "kept")
    for path in (tmp_path / "kept").iterdir():
        assert str(tmp_path) not in path.read_text(), "no path of this machine is committed"
    svg = (tmp_path / "kept" / "figure.svg").read_text()
    used = set(re.findall(r"var\(--([\w-]+)\)", svg))
    light, dark = re.search(r":root { (.*?) } @media .*?:root { (.*?) } }", svg).groups()
    for theme in (light, dark):
        assert used <= set(re.findall(r"--([\w-]+):", theme))
    assert svg.count("<svg ") == 1 + 4, "metric, curves, search, and the mapping"
    assert "http://" not in svg.replace("http://www.w3.org/", "")


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.name)
def test_the_readme_states_what_the_runs_cost(folder):
    readme = (folder / "README.md").read_text(encoding="utf-8")
    (said,) = re.findall(r"^([\d.]+) core-hours .* (\d+) runs", readme, re.MULTILINE)
    jobs = read_sweep(folder).jobs
    (counted,) = re.findall(r"search included; ([\d.]+) in all", readme)
    assert said == (counted, str(len(jobs)))


@pytest.mark.parametrize("document", ["README.md", "README.ko.md"])
def test_the_projects_readme_rounds_what_the_tables_say(document):
    """Every signed figure of a verdict there is a figure of the experiment's table, rounded to its own digits."""
    rows = re.findall(r"^\| \[(\w+)\]\(experiments/.*", (ROOT / document).read_text("utf-8"), re.MULTILINE)
    assert sorted(rows) == [folder.name for folder in COMMITTED]
    for line in (ROOT / document).read_text("utf-8").splitlines():
        if not (named := re.match(r"\| \[(\w+)\]\(experiments/", line)):
            continue
        table = (ROOT / "experiments" / named[1] / "README.md").read_text("utf-8").replace("−", "-")
        shown = [float(number) for number in re.findall(r"[+-]\d+\.\d+", table)]
        for figure in re.findall(r"[+-]\d+\.\d+", line.replace("−", "-")):
            digits = len(figure.split(".")[1])
            assert float(figure) in {round(number, digits) for number in shown}, (named[1], figure)
