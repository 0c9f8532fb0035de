"""Inspect's log format: what inspect_ai itself reads of our logs, and its viewer shows."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from snakeval import exporters
from snakeval.errors import EvaluationError
from snakeval.exporters.delivery import deliver
from snakeval.harnesses import reading
from support.limits import HUNG
from support.made import Made
from support.servers import served

#: Reads each log of a directory with the library, and says what it understood.
READ = """
import json, sys
from inspect_ai.log import list_eval_logs, read_eval_log
found = []
for info in list_eval_logs(sys.argv[1]):
    log = read_eval_log(info)
    found.append(dict(
        task=log.eval.task, model=log.eval.model, status=log.status, tags=log.eval.tags,
        error=log.error.message if log.error else None, metadata=log.eval.metadata,
        scores={s.name: {n: m.value for n, m in s.metrics.items()} for s in log.results.scores},
        samples=[[s.id, s.epoch, s.input, s.target, s.output.completion,
                  {n: v.value for n, v in s.scores.items()}] for s in log.samples],
    ))
print(json.dumps(found))
"""


@dataclass
class Sample:
    """What a harness logged of an item, as the adapters read it."""

    id: str
    question: str
    answer: str
    reference: str
    scores: dict[str, float]
    task: str = "good"
    filter: str = ""
    group: str = field(default="")


def written(run: Made, **options: Any) -> Path:
    """Export as Inspect's logs; return their directory."""
    exporter = exporters.find("local", {"formats": "inspect", **options})
    assert not deliver(run.directory, "named", "local", exporter, print).undelivered
    return run.path / "export" / "inspect"


def read(directory: Path, bed: Path) -> dict[str, dict[str, Any]]:
    python = bed / "inspect" / "bin" / "python"
    command = [str(python), "-c", READ, str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HUNG, check=False)
    assert done.returncode == 0, done.stderr
    return {log["task"]: log for log in json.loads(done.stdout)}


@pytest.mark.exporters
def test_the_library_reads_scores_and_errors(run: Made, exporters_bed: Path) -> None:
    logs = read(written(run, tags={"team": "nlp"}), exporters_bed)
    assert set(logs) == {"good", "bad"}
    good, bad = logs["good"], logs["bad"]
    assert good["scores"] == {"good/acc": {"mean": 0.1234567890123456, "stderr": 0.05}}
    assert (good["status"], good["model"], good["tags"]) == ("success", "m", ["team:nlp"])
    assert good["metadata"]["run_complete"] is False
    assert (bad["status"], bad["error"]) == ("error", "no such data set")


@pytest.mark.exporters
def test_the_library_reads_samples_and_repeated_answers_as_epochs(
    run: Made, exporters_bed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def samples(place: object) -> Iterator[Sample]:
        yield Sample("1", "2 + 2?", "4", "4", {"acc": 1.0})
        yield Sample("1", "2 + 2?", "<script>5</script>", "4", {"acc": 0.0, "f1": float("nan")})

    monkeypatch.setattr(reading, "read_samples", samples)
    logs = read(written(run), exporters_bed)
    assert logs["good"]["samples"] == [
        ["good/1", 1, "2 + 2?", "4", "4", {"acc": 1.0}],
        ["good/1", 2, "2 + 2?", "4", "<script>5</script>", {"acc": 0.0}],
    ]


@pytest.mark.exporters
def test_the_viewer_opens_the_logs(run: Made, exporters_bed: Path, tmp_path: Path) -> None:
    logs = written(run)
    command = [
        str(exporters_bed / "inspect" / "bin" / "inspect"), "view", "start",
        "--log-dir", str(logs), "--host", "127.0.0.1", "--port", "{port}",
    ]  # fmt: skip
    with served(command, "/", tmp_path) as url:
        with urllib.request.urlopen(f"{url}/api/logs", timeout=HUNG) as answer:
            listed = json.load(answer)["files"]
        assert {Path(each["name"]).name for each in listed} == {p.name for p in logs.iterdir()}
        heads = "&".join(f"file={urllib.parse.quote(each['name'])}" for each in listed)
        with urllib.request.urlopen(f"{url}/api/log-headers?{heads}", timeout=HUNG) as answer:
            assert {head["eval"]["task"] for head in json.load(answer)} == {"good", "bad"}
        for each in listed:
            with urllib.request.urlopen(f"{url}/api/logs/{each['name']}", timeout=HUNG) as answer:
                assert json.load(answer)["eval"]["run_id"] == run.path.name


def test_unreadable_samples_do_not_remove_the_scores(
    run: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(place: object) -> Iterator[Sample]:
        yield Sample("1", "q", "a", "r", {"acc": 1.0})
        raise EvaluationError("samples are nested too deeply")

    monkeypatch.setattr(reading, "read_samples", broken)
    (path,) = (path for path in written(run).iterdir() if "m-good" in path.name)
    log = json.loads(path.read_text())
    assert log["eval"]["metadata"]["samples"] == "cannot be read: samples are nested too deeply"
    assert log["samples"] == []
    assert log["results"]["scores"][0]["metrics"]["mean"]["value"] == 0.1234567890123456


def test_names_are_stable_and_a_second_export_writes_nothing(run: Made) -> None:
    before = {path.name: path.stat().st_ino for path in written(run).iterdir()}
    assert {path.name: path.stat().st_ino for path in written(run).iterdir()} == before
    assert all(name.startswith("2026-01-02T03-04-05+00-00_m-") for name in before)
