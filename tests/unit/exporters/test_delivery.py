"""What every destination has in common: options, patience, what is said, what is sent along."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from snakeval import exporters
from snakeval.errors import ConfigError
from snakeval.evaluation.record import Metric
from snakeval.exporters import ExportError, Options, configured, note
from snakeval.exporters.delivery import Delivery, deliver, deliver_configured
from snakeval.exporters.package import Package, packages
from support.limits import HUNG
from support.made import Made

KEY = "2026-01-02-03-04-05-0123abcd"


class Shelf:
    """A destination in memory, which fails as it is told."""

    OPTIONS = Options

    def __init__(self, options: Options, *failures: Exception | None) -> None:
        self.options = options
        self.failures = list(failures)
        self.holds: dict[str, Package] = {}
        self.calls: list[str] = []

    def open(self) -> None:
        self.calls.append("open")

    def send(self, package: Package) -> Sequence[str]:
        self.calls.append(package.benchmark or "run")
        if self.failures and (error := self.failures.pop(0)):
            raise error
        self.holds[package.key] = package
        return [f"shelf/{package.key}"]

    def close(self) -> None:
        self.calls.append("close")


def sent(run: Made, *failures: Exception | None, **options: Any) -> tuple[Shelf, Delivery, str]:
    shelf = Shelf(Options.model_validate({"per": "evaluation", **options}), *failures)
    said: list[str] = []
    result = deliver(run.directory, "named", "shelf", shelf, said.append)
    return shelf, result, "\n".join(said)


# --- patience -----------------------------------------------------------------------------


def test_a_temporary_failure_is_retried_and_reported(run: Made) -> None:
    shelf, result, said = sent(run, ExportError("quota exceeded", passing=True))
    assert shelf.calls == ["open", "good", "good", "bad", "to_do", "close"]
    assert "shelf: quota exceeded; again in 1 s" in said
    assert not result.undelivered


def test_after_a_persistent_failure_the_others_are_not_tried(run: Made) -> None:
    down = ExportError("no route to host", passing=True)
    shelf, result, _ = sent(run, None, down, attempts=1)
    assert shelf.calls == ["open", "good", "bad", "close"]
    assert list(result.delivered) == [f"{KEY}/m/good"]
    assert result.undelivered == {
        f"{KEY}/m/bad": "no route to host",
        f"{KEY}/m/to_do": "no route to host",
    }


def test_a_rejected_entry_is_not_retried_and_the_others_are_sent(run: Made) -> None:
    shelf, result, _ = sent(run, ExportError("too large"))
    assert shelf.calls == ["open", "good", "bad", "to_do", "close"]
    assert result.undelivered == {f"{KEY}/m/good": "too large"}


def test_a_bug_in_an_exporter_is_a_reason_with_its_place(run: Made) -> None:
    _, result, _ = sent(run, ZeroDivisionError("by zero"))
    (reason,) = result.undelivered.values()
    assert reason.startswith("ZeroDivisionError: by zero (")
    assert "test_delivery.py:" in reason


def test_a_reason_is_one_line_without_passwords() -> None:
    error = ExportError("no answer of\nhttps://me:secret@host/x")
    assert str(error) == "no answer of https://…@host/x"


# --- what is sent -------------------------------------------------------------------------


def test_the_command_prints_the_sizes_before_it_sends(run: Made) -> None:
    _, _, said = sent(run, artifacts="*.bin")
    assert said == "shelf: 3 entries, 1 file (2.5 kB)"


def test_files_are_chosen_by_their_name_or_by_their_path(run: Made) -> None:
    def names(*patterns: str) -> list[str]:
        options = Options(per="evaluation", artifacts=patterns)
        return [file.name for p in packages(run.directory, "", options) for file in p.artifacts]

    assert names("results*.json") == ["artifacts/results_1.json"]
    assert names("logs/*") == ["logs/attempt-1.log", "logs/attempt-1.log"]
    assert names("evaluation.json", "artifacts/big*") == ["evaluation.json", "artifacts/big.bin"]
    assert names() == []


def test_a_link_out_of_the_run_is_not_sent(run: Made, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (run["good"].artifacts / "big.bin").unlink()
    (run["good"].artifacts / "big.bin").symlink_to(tmp_path / "secret")
    run.done("good")
    (package, *_) = packages(run.directory, "", Options(per="evaluation", artifacts=("*",)))
    assert [f.name for f in package.artifacts if "big" in f.name] == []


def test_metrics_are_chosen_by_pattern_and_evaluations_still_counted(run: Made) -> None:
    run.done("good", Metric("good", "acc", 0.5), Metric("good", "f1", 0.25))
    shelf, result, _ = sent(run, metrics="f*")
    assert shelf.holds[f"{KEY}/m/good"].scores == {"good/f1": 0.25}
    assert result.partial == "partial: 1 of 3 evaluations are done, 1 failed, 1 not evaluated"


def test_an_empty_selection_sends_nothing_and_says_so(run: Made) -> None:
    run.plan = [item for item in run.plan if item.benchmark == "good"]
    run.save()
    shelf, result, said = sent(run, metrics="f*")
    assert said == "shelf: 0 entries, no files (0 B)"
    assert (shelf.holds, result.undelivered) == ({}, {})


def test_names_of_scores_are_valid_for_every_service_and_stay_distinct(run: Made) -> None:
    run.done("good", Metric("good", "acc@1", 0.5), Metric("good", "acc%1", 0.25))
    shelf, _, _ = sent(run)
    scores = shelf.holds[f"{KEY}/m/good"].scores
    assert sorted(scores.values()) == [0.25, 0.5]
    assert all(name.startswith("good/acc_1_") for name in scores)


def test_a_run_is_one_entry_and_its_scores_name_model_and_benchmark(run: Made) -> None:
    (run.path / "report.html").write_text("<html>")
    shelf, _, _ = sent(run, per="run", artifacts="results*,*.html")
    package = shelf.holds[KEY]
    assert list(package.scores)[:2] == ["m/good/good/acc", "m/good/good/acc_stderr"]
    names = [file.name for file in package.artifacts]
    assert names == ["report.html", "m/good/artifacts/results_1.json"]


def test_a_file_with_a_token_that_an_earlier_version_saved_is_not_sent(run: Made) -> None:
    for name in ("report.html", "config.yaml"):
        (run.path / name).write_text("token: hf_" + "AbCdEf123456" * 2)
    shelf, _, _ = sent(run, per="run", artifacts="results*,*.html,config*")
    assert [file.name for file in shelf.holds[KEY].artifacts] == ["m/good/artifacts/results_1.json"]


# --- options ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("destinations", "sentence"),
    [
        ({"wandbb": {}}, "export.wandbb: no such destination; did you mean 'wandb'?"),
        ({"wandb": {"projct": "x"}}, "export.wandb.projct: unknown key 'projct'; did you mean"),
        ({"wandb": {"per": "model"}}, "export.wandb.per: input should be 'run' or 'evaluation'"),
        ({"mlflow": {}}, "export.mlflow: the server is unknown; set tracking_uri, or export"),
        ({"gsheets": {}}, "export.gsheets: requires spreadsheet_id or spreadsheet_name; write"),
        (
            {"gsheets": {"spreadsheet_id": "x", "artifacts": ["*"]}},
            "export.gsheets.artifacts: a sheet takes no files; remove the patterns",
        ),
        *(
            (
                {"mlflow": {"tracking_uri": "http://m", "tags": {name: "x"}}},
                "export.mlflow.tags: has a name that MLflow rejects; write up to 250 letters",
            )
            for name in ("=1", "+1", "a\r", "..", "a//b", "", "x" * 251)
        ),
        ({"local": {"formats": ["xml"]}}, "export.local.formats.0: input should be 'json', 'csv'"),
    ],
)
def test_an_invalid_section_is_one_sentence(
    destinations: dict[str, Any], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(ConfigError) as caught:
        configured(destinations)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_password_in_an_address_is_an_error_that_hides_the_password() -> None:
    with pytest.raises(ConfigError) as caught:
        configured({"mlflow": {"tracking_uri": "https://me:hunter2@host"}})
    assert "export MLFLOW_TRACKING_USERNAME" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "library", "values"),
    [
        ("wandb", "wandb", {}),
        ("mlflow", "mlflow", {"tracking_uri": "http://m"}),
        ("gsheets", "gspread", {"spreadsheet_id": "x"}),
    ],
)
def test_a_missing_library_is_an_error_that_names_the_extra(
    name: str, library: str, values: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError) as caught:
        exporters.find(name, values)
    assert str(caught.value) == f"{name}: needs {library}; pip install 'snakeval[{name}]'"


def test_the_command_and_a_check_import_no_vendor_library() -> None:
    code = """
import sys
from snakeval.cli import main
main(["export", "--help"])
from snakeval.exporters import configured, names
names()
configured({"local": {}, "wandb": {}, "mlflow": {"tracking_uri": "x"},
            "gsheets": {"spreadsheet_id": "x"}})
heavy = {"wandb", "mlflow", "gspread", "google.auth", "pandas", "tenacity"} & set(sys.modules)
assert not heavy, heavy
import snakeval.jobs.evaluate
assert "snakeval.exporters.delivery" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=HUNG, check=False
    )
    assert done.returncode == 0, done.stderr


# --- the note -----------------------------------------------------------------------------


def test_the_rule_sends_what_it_can_and_notes_the_undelivered(run: Made) -> None:
    (run.path / "config.yaml").write_text(
        "export: {local: {formats: [csv]}, nowhere: {}, mlflow: {tracking_uri: 'http://[::1]:1', "
        "attempts: 1}}"
    )
    said: list[str] = []
    deliver_configured(run.directory, said.append)
    assert (run.path / "export" / "results.csv").exists()
    lacking = note.undelivered(run.directory)
    assert list(lacking) == ["nowhere", "mlflow"]
    assert lacking["nowhere"].startswith("export.nowhere: no such destination")
    assert "cannot be reached: [Errno 111] Connection refused" in lacking["mlflow"]
    assert any(line.startswith("mlflow: not delivered: ") for line in said)
