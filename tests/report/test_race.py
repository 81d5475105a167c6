import csv
import io
import json
import shutil
from statistics import fmean, stdev

import pytest
from rich.console import Console

from lab.errors import ConfigError
from lab.report.fairness import held_equal, shared_settings, tokenizers_equal
from lab.report.race import Spread, race_table, read_race
from lab.report.reading import read_aloud
from lab.report.tables import to_console, to_csv, to_markdown

from .fabricated import CONTENDERS, YARDSTICKS, write_json


def set_korean(folder, run, bits):
    """Overwrites a run's Korean bits per byte."""
    path = folder / run / "results.json"
    results = json.loads(path.read_text())
    results["bits_per_byte"]["ko"] = bits
    write_json(path, results)


def results_of(folder, contender):
    return [json.loads((folder / f"{contender}-s{seed}" / "results.json").read_text()) for seed in (0, 1)]


def test_contenders_are_sorted_by_korean_bits_per_byte(finished_race):
    keys = [standing.key for standing in read_race(finished_race).standings]
    by_mean = sorted(
        CONTENDERS,
        key=lambda key: fmean(run["bits_per_byte"]["ko"] for run in results_of(finished_race, key)),
    )
    assert keys == by_mean
    assert keys[-1] == "llama"


def test_the_csv_holds_means_spreads_and_counts_of_the_results(finished_race):
    rows = {
        row["key"]: row for row in csv.DictReader(io.StringIO(to_csv(race_table(read_race(finished_race)))))
    }
    assert set(rows) == {*CONTENDERS, *YARDSTICKS}
    for contender in CONTENDERS:
        results, row = results_of(finished_race, contender), rows[contender]
        for language in ("ko", "en", "code"):
            values = [run["bits_per_byte"][language] for run in results]
            assert float(row[f"bits_per_byte_{language}"]) == pytest.approx(fmean(values), abs=1e-12)
            assert float(row[f"bits_per_byte_{language}_sd"]) == pytest.approx(stdev(values), abs=1e-12)
            assert row[f"bits_per_byte_{language}_n"] == "2"
        for probe in ("object_particle", "particle_role"):
            accuracy = fmean(run["probes"][probe]["accuracy"] for run in results)
            assert float(row[f"probe_{probe}"]) == pytest.approx(accuracy)
        size = results[0]["size"]
        at_context = size["cache_bytes_fixed"] + 32_768 * size["cache_bytes_per_token"]
        assert float(row["cache_bytes_at_context"]) == at_context
        assert float(row["parameters_active"]) == size["parameters_active"]
        assert row["kind"] == "row"
    assert float(rows["xz"]["bits_per_byte_code"]) == YARDSTICKS["xz"]["code"]
    assert rows["xz"]["kind"] == "reference"
    assert rows["xz"]["training_tokens"] == ""


def test_the_spread_is_the_sample_deviation_and_unknown_for_one_value():
    assert Spread((1.0, 2.0, 3.0)).sd == pytest.approx(1.0)
    assert Spread((2.0,)).sd is None


@pytest.mark.parametrize("width", [120, 80, 30])
def test_the_console_table_fits_its_width_and_names_what_it_leaves_out(finished_race, width):
    table = race_table(read_race(finished_race))
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(to_console(table, width))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text, "no cell is cut"
    for contender in ("Solar Open", "K-EXAONE", "A.X K1", "Motif 2", "Llama", "5-gram"):
        assert contender in text
    left_out = "Not shown at this width" in text
    assert left_out == (width < 120)


def test_markdown_marks_the_best_and_sets_yardsticks_apart(finished_race):
    race = read_race(finished_race)
    lines = to_markdown(race_table(race)).splitlines()
    best = race.standings[0].bits_per_byte("ko")
    assert f"**{best.mean:.3f}** ±{best.sd:.3f}" in lines[2]
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    assert any(line.startswith("| _Bigram_ ") for line in lines)


def test_an_accuracy_that_chance_explains_is_faint_and_never_best(finished_race):
    race = read_race(finished_race)
    table = race_table(race)
    column = next(column for column in table.columns if column.key == "probe_particle_role")
    for row in table.rows:
        standing = next(standing for standing in race.standings if standing.key == row.key)
        assert row[column.key].faint == (standing.probe("particle_role").low <= 0.5)
        assert not (row[column.key].faint and row.key in table.best_rows(column))


def test_missing_and_failed_runs_leave_the_rest_standing(make_race):
    folder = make_race()
    shutil.rmtree(folder / "llama-s1")
    for seed in (0, 1):
        (folder / f"solar_open-s{seed}" / "results.json").unlink()
    status = {"state": "failed", "step": 40, "steps": 400, "error": "the loss is not finite"}
    write_json(folder / "solar_open-s0" / "status.json", status)
    race = read_race(folder)
    assert race.standings[-1].key == "solar_open", "without a result, last"
    llama = next(standing for standing in race.standings if standing.key == "llama")
    assert (llama.bits_per_byte("ko").n, llama.bits_per_byte("ko").sd) == (1, None)
    reading = " ".join(read_aloud(race))
    assert "3 of 10 runs are not judged" in reading
    assert "llama-s1 is missing" in reading
    assert "failed at step 40 of 400: the loss is not finite" in reading


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, "FileNotFoundError"),
        ("[1]", "ValueError"),
        ('{"seeds": [0]}', "KeyError"),
        ('{"contenders": ["../x"], "seeds": [0]}', "x'"),
    ],
)
def test_what_is_no_race_folder_is_refused(tmp_path, content, named):
    if content is not None:
        (tmp_path / "race.json").write_text(content)
    with pytest.raises(ConfigError, match=named):
        read_race(tmp_path)


def test_one_seed_makes_no_claim_about_the_order(make_race):
    reading = " ".join(read_aloud(read_race(make_race(seeds=[0]))))
    assert "no spread is known" in reading
    assert "t-test" not in reading


@pytest.mark.parametrize(
    ("second", "verdict"),
    [
        ((1.501, 1.511, 1.521), "call it a tie"),
        ((1.60, 1.61, 1.62), "more than seeds alone would often make"),
    ],
)
def test_the_reading_weighs_the_gap_against_the_seeds(make_race, second, verdict):
    folder = make_race(contenders=["k_exaone", "ax_k1"], seeds=[0, 1, 2])
    for seed, (leading, trailing) in enumerate(zip((1.50, 1.51, 1.52), second, strict=True)):
        set_korean(folder, f"k_exaone-s{seed}", leading)
        set_korean(folder, f"ax_k1-s{seed}", trailing)
    reading = " ".join(read_aloud(read_race(folder)))
    assert reading.startswith("K-EXAONE leads with 1.510 Korean bits per byte")
    assert "3 seeds each" in reading
    assert verdict in reading


def test_the_reading_counts_who_beats_each_yardstick(make_race):
    folder = make_race(contenders=["k_exaone", "llama"], seeds=[0])
    assert "Every model beats the bigram and the 5-gram in every language." in read_aloud(read_race(folder))
    set_korean(folder, "llama-s0", 2.5)
    reading = " ".join(read_aloud(read_race(folder)))
    assert "Every model beats the bigram in every language." in reading
    assert "Models below the 5-gram: 1 of 2 in Korean, 2 of 2 in English and 2 of 2 in code." in reading
    assert "All 1 contenders are below the Llama baseline" in reading


def test_what_was_held_equal_is_measured(make_race):
    folder = make_race()
    rows = {held.name: held for held in held_equal(read_race(folder))}
    assert rows["Training FLOPs of a run"].equal
    assert not rows["Training tokens"].equal
    assert rows["Settings: optimizer"].equal
    assert not rows["Settings: trainer.tokens"].equal
    assert "Settings: model" not in rows
    assert "Settings: name" not in rows, "a name differs in every run"

    path = folder / "llama-s0" / "results.json"
    results = json.loads(path.read_text())
    results["training"]["flops"] *= 1.1
    write_json(path, results)
    config = (folder / "llama-s1" / "config.yaml").read_text()
    (folder / "llama-s1" / "config.yaml").write_text(
        config.replace("learning_rate: 0.003", "learning_rate: 0.001")
    )
    race = read_race(folder)
    rows = {held.name: held for held in held_equal(race)}
    assert not rows["Training FLOPs of a run"].equal
    assert "[0.003, 0.001] (Llama)" in rows["Settings: optimizer.learning_rate"].value
    assert "optimizer.learning_rate" not in shared_settings(race)
    assert shared_settings(race)["optimizer.weight_decay"] == 0.1
    assert tokenizers_equal(race)
