"""The curves of a run's directory: its table, the places of its models, and its headlines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from snakeval.results import report
from snakeval.results.curves import load
from snakeval.results.curves.grouping import figures
from snakeval.results.curves.points import Curve, Place
from snakeval.run.checkpoints import Seen
from snakeval.run.plan import plan_text
from support.sampled import Sampled


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))


@pytest.fixture
def run(tmp_path: Path) -> Sampled:
    found = {"r@200": {"b": [1, 0]}, "r@1000": {"b": [1, 1]}, "r@3000": {"b": None}}
    return Sampled(tmp_path, {**found, "base": {"b": [0, 0]}})


def curve(run: Sampled) -> Curve:
    (figure,) = figures([load.source(run.directory)])
    (found,) = figure.curves
    return found


def test_a_run_has_a_curve_of_its_checkpoints(run: Sampled) -> None:
    (figure,) = figures([load.source(run.directory)])
    (found,) = figure.curves
    assert [(p.step, p.value, p.n) for p in found.points] == [
        ("200", 0.5, 2), ("1000", 1.0, 2), ("3000", None, None),
    ]  # fmt: skip
    assert [(each.name, each.value) for each in figure.baselines] == [("base", 0.0)]


def test_what_finished_and_left_the_plan_keeps_its_point(run: Sampled) -> None:
    plan = run.directory.plan()
    earlier = run.directory.invocation("first")
    earlier.path.mkdir(parents=True)
    earlier.plan_file.write_text(plan_text(plan))
    run.directory.write_plan([item for item in plan if item.model == "r@200"])
    (figure,) = figures([load.source(run.directory)])
    assert [point.step for point in figure.curves[0].points] == ["200", "1000"]
    assert [each.name for each in figure.baselines] == ["base"]

    text = run.directory.config.read_text()
    run.directory.config.write_text(text.replace("  base:\n", "  other:\n"))
    (figure,) = figures([load.source(run.directory)])
    assert figure.baselines == (), "the configuration has no such model"


def test_places_come_from_the_saved_configurations(run: Sampled) -> None:
    assert load.places(run.directory, {"r@200"}, {}) == {"r@200": Place("r", "200")}


def test_a_place_of_several_values_has_the_axis_of_its_pattern(run: Sampled) -> None:
    text = run.directory.config.read_text()
    text = text.replace("step: '200'", "lr: '1e-5'\n        step: '200'")
    run.directory.config.write_text(text)
    found = load.places(run.directory, {"r@200"}, {})["r@200"]
    assert (found.curve, found.step, found.axis) == ("r lr=1e-5", "200", "step")


def test_without_a_configuration_the_name_has_the_step(run: Sampled) -> None:
    run.directory.config.unlink()
    assert [point.step for point in curve(run).points] == ["200", "1000", "3000"]


def test_what_heads_have_seen_is_in_the_points(run: Sampled) -> None:
    seen = {
        "r@200": Seen("/r/200", {"step": "200"}, seen=9.0, gone=True),
        "r@1000": Seen("/r/1000", {"step": "1000"}, seen=99.0),
        "r@4000": Seen("/r/4000", {"lr": "2", "step": "4000"}, same_as="1000"),
    }
    found = load.places(run.directory, {*seen}, seen)
    assert found["r@200"] == Place("r", "200", seen=9.0, gone=True)
    assert found["r@4000"] == Place("r", "4000", others=(("lr", "2"),), same_as="r@1000")


def test_equal_weights_have_two_points_of_one_result(run: Sampled) -> None:
    plan = [
        replace(item, fingerprint=run.evaluations["r@1000/b"].fingerprint, same_as="r@1000")
        if item.model == "r@3000"
        else item
        for item in run.directory.plan()
    ]
    run.directory.write_plan(plan)
    assert [(p.step, p.value) for p in curve(run).points] == [
        ("200", 0.5), ("1000", 1.0), ("3000", 1.0),
    ]  # fmt: skip


def test_a_run_without_series_has_none(run: Sampled, tmp_path: Path) -> None:
    assert load.has_series(run.directory, run.directory.plan())
    plain = Sampled(tmp_path, {"m": {"b": [1, 0]}}, id="feedbeef").directory
    assert not load.has_series(plain, plain.plan())


def test_the_main_metric_is_drawn(run: Sampled) -> None:
    assert load.source(run.directory).headlines == {"b": ("b", "acc", "")}


def test_the_report_of_a_series_has_a_page_of_curves(run: Sampled) -> None:
    page = report.write(run.directory)
    assert '<a href="report/curves.html"><strong>Curves</strong></a>' in page.read_text()
    curves = run.directory.curves.read_text()
    assert 'href="../report.html"' in curves
    assert " · 1 series · 3 checkpoints · 1 benchmark · made " in curves
    assert "curves.html" not in run.directory.report_summary.read_text()


def test_a_report_without_series_removes_an_old_page(tmp_path: Path) -> None:
    run = Sampled(tmp_path, {"m": {"b": [1, 0]}}, id="feedbeef")
    run.directory.report_samples.mkdir()
    run.directory.curves.write_text("old")
    assert "curves.html" not in report.write(run.directory).read_text()
    assert not run.directory.curves.exists()
