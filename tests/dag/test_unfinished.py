"""Plain Snakemake finishes what is missing or damaged, and repeats nothing that is finished."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.command import workspace
from support.workspace import Workspace

COUNTED = "echo {{ task }} >> {ran}; echo '{\"score\": 0.5}' > {{ results }}/score.json"


def counted(tmp_path: Path, command: str = "") -> dict[str, object]:
    text = COUNTED.replace("{ran}", str(tmp_path / "ran"))
    return {
        "harness": "generic",
        "command": f"{command}{text}",
        "metrics": {"file": "score.json", "values": {"score": "score"}},
    }


def ran(tmp_path: Path) -> int:
    file = tmp_path / "ran"
    return len(file.read_text().splitlines()) if file.exists() else 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Workspace]:
    tmp_path = tmp_path_factory.mktemp("finished")
    work = workspace(tmp_path, b=counted(tmp_path))
    done = work.snakemake()
    assert done.exit_code == 0, done.output
    return tmp_path, work


HARMS: dict[str, tuple[Callable[[Path], object], int]] = {
    "artifacts removed": (lambda place: shutil.rmtree(place / "artifacts"), 1),
    "artifacts truncated": (lambda place: (place / "artifacts/score.json").write_text(""), 1),
    "record emptied": (lambda place: (place / "evaluation.json").write_text(""), 0),
    "records emptied": (
        lambda place: [
            path.write_text("")
            for path in (place / "evaluation.json", *place.glob(".snakeval/completion-*.json"))
        ],
        0,
    ),
    "lease emptied": (lambda place: (place / ".snakeval/lease").write_text(""), 0),
    "definition of garbage": (
        lambda place: (place / ".snakeval/evaluation.json").write_bytes(b"\xff\xfe\x81"),
        0,
    ),
    "note of garbage": (
        lambda place: (place / ".snakeval/attempt.json").write_bytes(b"\xff\xfe\x81"),
        0,
    ),
    "hidden files lost": (
        lambda place: [shutil.rmtree(path / ".snakeval") for path in (place, place / "../..")],
        0,
    ),
}


@pytest.mark.parametrize("harm", HARMS)
def test_whatever_is_lost_the_same_command_finishes_it_and_then_has_nothing_to_do(
    finished: tuple[Path, Workspace], tmp_path: Path, harm: str
) -> None:
    original, first = finished
    before = ran(original)
    work = first.copy(tmp_path / "copy")
    damage, reruns = HARMS[harm]
    damage(work.run / "m/b")
    planned = work.snakemake("-n")
    assert planned.exit_code == 0, planned.output
    assert "Traceback" not in planned.output
    assert not list(work.directory.rglob("*.damaged-*")), "a dry run changes nothing"
    done = work.snakemake()
    assert (done.exit_code, ran(original) - before) == (0, reruns), done.output
    assert "Traceback" not in done.output
    assert dict(work.table()["value"]) == {"m/b": 0.5}
    assert planned.evaluated == done.evaluated, (planned.output, done.output)
    assert json.loads((work.run / "m/b/evaluation.json").read_text())["metrics"]
    again = work.snakemake()
    assert (again.nothing_to_do, ran(original) - before) == (True, reruns), again.output


def test_a_job_that_lost_its_lease_publishes_nothing_and_its_command_still_finishes(
    tmp_path: Path,
) -> None:
    """As after a pause in which a job of another host took the lease over."""
    gate = tmp_path / "gate"
    work = workspace(tmp_path, b=counted(tmp_path, f"while [ ! -e {gate} ]; do sleep 0.1; done; "))
    work.config["lease"] = {"heartbeat": 0.2, "stale": 60}
    head = work.start()
    wait_for(lambda: [*work.directory.glob("results/*/m/b/attempts/1/artifacts")])
    place = work.run / "m/b"
    lease = place / ".snakeval/lease"
    other = {"id": "x", "host": "elsewhere", "pid": 1, "start": "1", "beat": 0}
    lease.unlink()
    lease.write_text(json.dumps(other))
    wait_for(lambda: "waits for process 1 on elsewhere" in events(place))
    gate.touch()
    assert not (place / "evaluation.json").exists()
    assert ran(tmp_path) == 0, "its harness went on"
    lease.unlink()
    output, _ = head.communicate(timeout=120)
    assert head.returncode == 0, output
    assert ran(tmp_path) == 1
    assert json.loads((place / "evaluation.json").read_text())["attempt"] == 2
    assert work.snakemake("-n").nothing_to_do


def events(place: Path) -> str:
    return (place / ".snakeval/events.jsonl").read_text()


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_damaged_definition_is_written_again_for_an_evaluation_that_is_missing(
    tmp_path: Path,
) -> None:
    work = workspace(tmp_path, b=counted(tmp_path, f"[ -e {tmp_path}/ok ] || exit 3; "))
    assert work.snakemake("--retries", "0").exit_code == 1
    (tmp_path / "ok").touch()
    (work.run / "m/b/.snakeval/evaluation.json").write_bytes(b"\xff\xfe\x81")
    done = work.snakemake()
    assert done.exit_code == 0, done.output
    assert "Traceback" not in done.output
