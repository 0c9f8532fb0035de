"""The notes for the person who plans a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.dag.announce import dropped_budget, packing, prediction, undeliverable
from support.allocations import Opened, content, learned
from support.invocations import TWO, invocation, matrix, reruns


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path_factory.mktemp("home")))


def test_the_dry_run_lists_each_allocation_with_its_hours_and_members(tmp_path: Path) -> None:
    data = content({"evaluations_per_allocation": 3})
    learned(Opened(tmp_path, data), 60, 60, 60, 60, 60, 60, loading=0)
    notes = packing(Opened(tmp_path, data, slots=3))
    assert notes[0] == "Allocations: m in 2 allocations, about 2 h 00 min and 4.0 GPU-hours"
    assert [line.split(":")[0] for line in notes[1:]] == ["  m", "  m.2"]
    assert packing(Opened(tmp_path, content())) == []


def test_a_run_is_new_until_its_directory_exists(tmp_path: Path) -> None:
    opened = matrix(tmp_path)
    assert "(new): 4 evaluations in" in opened.notes()[0]
    opened.invocation.run.start()
    assert "(continues): 4 evaluations in" in matrix(tmp_path).notes()[0]


def test_only_evaluations_that_ask_a_model_have_a_prediction(tmp_path: Path) -> None:
    data = {**TWO, "budget": {"requests": 9}}
    for offline, lines in ((False, 1), (True, 0)):
        opened = invocation(tmp_path, data, offline=offline)
        assert len(prediction(opened, reruns(opened)[0])) == lines


def test_a_command_without_the_former_budget_of_its_run_says_so(tmp_path: Path) -> None:
    def lines(budget: dict[str, object]) -> list[str]:
        opened = invocation(tmp_path, {**TWO, "budget": budget} if budget else TWO)
        return dropped_budget(opened, reruns(opened)[0])

    opened = invocation(tmp_path, TWO)
    opened.run.start()
    assert lines({}) == []
    opened.directory.write_config("budget: {tokens: 9000, wall: 2h}", "0")
    assert lines({}) == [
        "Budget: this command drops the run's limit of 9,000 tokens and 2 h 00 min; keep it with "
        "--budget tokens=9000 --budget wall=120m"
    ]
    assert lines({"tokens": 20}) == [
        "Budget: this command drops the run's limit of 2 h 00 min; keep it with --budget wall=120m"
    ]
    assert lines({"tokens": 20, "wall": "1h"}) == []


def test_a_webhook_without_its_url_has_a_line_for_each_variable(tmp_path: Path) -> None:
    alert = {"failures": True, "webhook": "HOOK"}
    benchmarks = {name: {**spec, "alert": alert} for name, spec in TWO["benchmarks"].items()}
    opened = invocation(tmp_path, {**TWO, "benchmarks": benchmarks})
    assert undeliverable(opened, {}) == [
        f"Alarms: $HOOK is not set (benchmarks.{min(benchmarks)}.alert.webhook); alarms wait "
        "until a command has it"
    ]
    assert undeliverable(opened, {"HOOK": "https://host/secret"}) == []
    assert undeliverable(invocation(tmp_path, TWO), {}) == []
