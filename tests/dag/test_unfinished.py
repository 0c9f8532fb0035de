"""Plain Snakemake finishes what is missing or damaged, and repeats nothing that is finished."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from support.command import workspace
from support.limits import HUNG
from support.workspace import Workspace

COUNTED = "echo {name} >> {ran}; echo '{\"score\": 0.5}' > {{ results }}/score.json"


def counted(log: Path, name: str, before: str = "") -> dict[str, object]:
    """Return a benchmark that notes its name each time it runs, after a shell command."""
    text = COUNTED.replace("{ran}", str(log / "ran")).replace("{name}", name)
    return {
        "harness": "generic",
        "command": f"{before}{text}",
        "metrics": {"file": "score.json", "values": {"score": "score"}},
    }


def ran(log: Path) -> Counter[str]:
    """Return how often each benchmark ran."""
    file = log / "ran"
    return Counter(file.read_text().split() if file.exists() else ())


#: What is done to an evaluation, and how often its harness runs again.
HARMS: dict[str, tuple[Callable[[Path], object], int]] = {
    "nothing": (lambda place: None, 0),
    "artifacts-removed": (lambda place: shutil.rmtree(place / "artifacts"), 1),
    "artifacts-truncated": (lambda place: (place / "artifacts/score.json").write_text(""), 1),
    "record-emptied": (lambda place: (place / "evaluation.json").write_text(""), 0),
    "records-emptied": (
        lambda place: [
            path.write_text("")
            for path in (place / "evaluation.json", *place.glob(".snakeval/completion-*.json"))
        ],
        0,
    ),
    "lease-emptied": (lambda place: (place / ".snakeval/lease").write_text(""), 0),
    "definition-of-garbage": (
        lambda place: (place / ".snakeval/evaluation.json").write_bytes(b"\xff\xfe\x81"),
        0,
    ),
    "note-of-garbage": (
        lambda place: (place / ".snakeval/attempt.json").write_bytes(b"\xff\xfe\x81"),
        0,
    ),
    "hidden-files-lost": (lambda place: shutil.rmtree(place / ".snakeval"), 0),
}


@pytest.fixture
def finished(tmp_path: Path) -> Workspace:
    """A finished run with an evaluation for each harm, named after it."""
    work = workspace(tmp_path, **{harm: counted(tmp_path, harm) for harm in HARMS})
    done = work.snakemake()
    assert (done.exit_code, set(ran(tmp_path))) == (0, {*HARMS}), done.output
    return work


def finishes(work: Workspace, log: Path, reruns: dict[str, int]) -> None:
    """The same command does what its dry run showed, and then has nothing to do."""
    before = ran(log)
    planned = work.snakemake("-n")
    assert planned.exit_code == 0, planned.output
    assert "Traceback" not in planned.output
    assert not list(work.directory.rglob("*.damaged-*")), "a dry run changes nothing"
    done = work.snakemake()
    assert done.exit_code == 0, done.output
    assert "Traceback" not in done.output
    assert {harm: ran(log)[harm] - before[harm] for harm in HARMS} == reruns, done.output
    assert dict(work.table()["value"]) == {f"m/{harm}": 0.5 for harm in HARMS}
    assert planned.evaluated == done.evaluated, (planned.output, done.output)
    for harm in HARMS:
        assert json.loads((work.run / f"m/{harm}/evaluation.json").read_text())["metrics"]
    now = ran(log)
    again = work.snakemake()
    assert (again.nothing_to_do, ran(log)) == (True, now), again.output


def test_whatever_is_lost_the_same_command_finishes_it_and_then_has_nothing_to_do(
    finished: Workspace, tmp_path: Path
) -> None:
    for harm, (damage, _) in HARMS.items():
        damage(finished.run / f"m/{harm}")
    finishes(finished, tmp_path, {harm: reruns for harm, (_, reruns) in HARMS.items()})
    for hidden in [*finished.run.rglob(".snakeval")]:  # the run's own, too
        shutil.rmtree(hidden)
    finishes(finished, tmp_path, dict.fromkeys(HARMS, 0))


def test_the_results_of_a_renamed_model_count_if_its_directory_is_also_renamed(
    tmp_path: Path,
) -> None:
    work = workspace(tmp_path, b=counted(tmp_path, "b"))
    assert work.snakemake().exit_code == 0
    work.config["models"]["n"] = work.config["models"].pop("m")
    assert work.snakemake("-n").evaluated == {"n/b"}, "a name of its own is another measurement"
    (work.run / "m").rename(work.run / "n")
    assert work.snakemake().exit_code == 0
    assert ran(tmp_path) == {"b": 1}
    assert dict(work.table()["value"]) == {"n/b": 0.5}


def test_a_job_that_lost_its_lease_publishes_nothing_and_its_command_still_finishes(
    tmp_path: Path,
) -> None:
    """As after a pause in which a job of another host took the lease over."""
    gate = tmp_path / "gate"
    work = workspace(
        tmp_path, b=counted(tmp_path, "b", f"while [ ! -e {gate} ]; do sleep 0.1; done; ")
    )
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
    assert not ran(tmp_path), "its harness went on"
    lease.unlink()
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 0, output
    assert ran(tmp_path) == {"b": 1}
    assert json.loads((place / "evaluation.json").read_text())["attempt"] == 2
    assert work.snakemake("-n").nothing_to_do


def events(place: Path) -> str:
    file = place / ".snakeval/events.jsonl"
    return file.read_text() if file.exists() else ""


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + HUNG
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_damaged_definition_is_written_again_for_an_evaluation_that_is_missing(
    tmp_path: Path,
) -> None:
    work = workspace(tmp_path, b=counted(tmp_path, "b", f"[ -e {tmp_path}/ok ] || exit 3; "))
    assert work.snakemake("--retries", "0").exit_code == 1
    (tmp_path / "ok").touch()
    (work.run / "m/b/.snakeval/evaluation.json").write_bytes(b"\xff\xfe\x81")
    done = work.snakemake()
    assert done.exit_code == 0, done.output
    assert "Traceback" not in done.output
