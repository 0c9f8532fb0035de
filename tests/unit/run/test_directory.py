"""A run's directory: where everything is, and what its files hold."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import pytest

from snakeval.config.types import _RESERVED
from snakeval.errors import ConfigError
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.run.directory import RunDirectory
from snakeval.run.heads import Head
from snakeval.run.plan import Planned
from support.made import gone

NAME = "2026-11-24-14-37-58-227b133b"


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path / NAME)
    run.make()
    return run


def test_its_name_has_the_time_and_the_invocation_id(run: RunDirectory) -> None:
    assert (run.name, run.id) == (NAME, "227b133b")
    assert run.started == datetime(2026, 11, 24, 14, 37, 58)
    assert RunDirectory.name_of(run.id, run.started) == NAME
    assert RunDirectory.id_of("attempts") == ""


def test_it_is_known_by_its_name_or_by_what_its_first_start_left(tmp_path: Path) -> None:
    renamed = RunDirectory(tmp_path / "copy")
    assert not renamed.is_run
    renamed.make()
    assert not renamed.is_run
    renamed.write_origin({"id": "227b133b"})
    assert renamed.is_run
    assert not RunDirectory(tmp_path / NAME).is_run  # it is not there


def test_the_directory_that_one_works_in_has_its_own_name(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.path)
    assert RunDirectory(Path()).name == NAME
    assert RunDirectory(".").is_run


def test_what_made_it_is_written_once(run: RunDirectory) -> None:
    run.write_origin({"id": "1", "identity": {"name": "mine", "params": {}}, "snakeval": "0.1"})
    run.write_origin({"id": "2"})
    assert run.read_origin()["id"] == "1"
    run.origin.write_text("[]")
    with pytest.raises(ValueError, match="is damaged"):
        run.read_origin()
    run.write_origin({"id": "2"})
    assert run.read_origin()["id"] == "2", "a start replaces damaged state"
    assert run.origin.stat().st_mtime == run.started.timestamp(), "records are newer"


def test_a_plan_is_read_as_it_was_written(run: RunDirectory) -> None:
    planned = (
        Planned("m", "b", "f" * 64),
        Planned("m", "c", left_out="no such endpoint type"),
        Planned("n", "b", "f" * 64, same_as="m"),
    )
    run.write_plan(planned)
    assert run.plan() == planned
    assert [item.id for item in planned] == ["m/b", "m/c", "n/b"]
    assert [item.source for item in planned] == ["m/b", "m/c", "m/b"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "starts just now"),
        ("{", "is damaged"),
        ("[1]", "is damaged"),
        ('[["m", "/b"]]', "is damaged"),
        (r'[["m", "b", "\ud800"]]', "is damaged"),
        (r'[["m", "\u202e"]]', "is damaged"),
        ('[["m", "b", "", "", "../n"]]', "is damaged"),
    ],
)
def test_a_plan_that_cannot_be_read_says_why(
    run: RunDirectory, text: str | None, problem: str
) -> None:
    if text is not None:
        run.write_plan([])
        run.plan_file.write_text(text)
    with pytest.raises(ConfigError, match=problem):
        run.plan()


ONE, TWO = Planned("m", "b", "1" * 64), Planned("m", "c", "2" * 64)


def works(run: RunDirectory, key: str, *plan: Planned, pid: int = 0, since: float = 0) -> None:
    """A command saved its plan in a run, and its head works there."""
    run.invocation(key).save("", plan, (), {})
    head = Head("", pid or os.getpid(), "", "snakemake", invocation=key, since=since)
    place = run.head_file(socket.gethostname(), head.pid)
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps(asdict(head) | {"host": socket.gethostname()}))


def test_a_plan_holds_what_commands_add_that_work_at_the_run_now(run: RunDirectory) -> None:
    works(run, "first", ONE, TWO, pid=os.getppid())
    run.write_plan([TWO])
    assert {*run.plan()} == {ONE, TWO}
    run.head_file(socket.gethostname(), os.getppid()).unlink()
    assert run.plan() == (TWO,)
    works(run, "killed", ONE, pid=gone())
    assert run.plan() == (TWO,)


@pytest.mark.parametrize("since", [(1, 2), (2, 1)])
def test_a_plan_is_in_the_order_in_which_commands_started_whatever_their_pids(
    run: RunDirectory, since: tuple[int, int]
) -> None:
    three = Planned("m", "d", "3" * 64)
    works(run, "parent", ONE, TWO, pid=os.getppid(), since=since[0])
    works(run, "own", ONE, three, since=since[1])
    newest = [ONE, three] if since[1] == 2 else [ONE, TWO]
    run.write_plan(newest)
    assert run.plan() == ((ONE, TWO, three) if since[1] == 2 else (ONE, three, TWO))


@pytest.mark.parametrize("text", ["{", "[1]", "[[1, 2]]", None])
def test_a_damaged_plan_is_replaced_by_the_one_of_the_last_command(
    run: RunDirectory, text: str | None
) -> None:
    run.invocation("key").save("", [ONE], (), {})
    if text is not None:
        run.write_plan([])
        run.plan_file.write_text(text)
    assert run.plan() == (ONE,)
    assert run.fingerprints() == {"m/b": ONE.fingerprint}


def test_heads_of_two_containers_with_the_same_host_name_and_pid_have_two_notes(
    run: RunDirectory,
) -> None:
    notes = {run.head_file("host", 7, f"pid:[{number}]") for number in (4026531836, 1, 2)}
    assert len(notes) == 3
    assert run.head_file("host", 7) in notes


def test_a_plan_without_hidden_files_is_the_published_records(run: RunDirectory) -> None:
    place = run.evaluation("m/b")
    place.path.mkdir(parents=True)
    record = {"model": "m", "benchmark": "b", "fingerprint": ONE.fingerprint}
    place.published.write_text(json.dumps(record))
    run.evaluation("m/c").path.mkdir()
    run.evaluation("m/c").published.write_text("{")
    assert run.plan() == (ONE,)


@pytest.mark.parametrize("damage", ["", "{", "[]", "null"])
def test_a_start_replaces_damaged_definitions_of_an_equal_command(
    run: RunDirectory, damage: str
) -> None:
    saved = run.invocation("key")
    saved.save("", [], (), {"m": {"a": 1}})
    assert saved.definitions().deployments == {"m": {"a": 1}}
    (file,) = (path for path in saved.path.iterdir() if path.name.startswith("definitions"))
    file.write_text(damage)
    with pytest.raises((ValueError, KeyError, TypeError)):
        saved.definitions()
    saved.save("", [], (), {"m": {"a": 1}})
    assert saved.definitions().deployments == {"m": {"a": 1}}


def test_evaluations_are_those_that_were_ever_defined(run: RunDirectory) -> None:
    directory = run.evaluation("m/b")
    assert directory == EvaluationDirectory(run.path / "m" / "b")
    assert (directory.name, directory.model) == ("m/b", "m")
    assert RunDirectory.of(directory) == run
    assert run.evaluations() == []
    directory.private.mkdir(parents=True)
    directory.spec.write_text("{}")
    assert run.evaluations() == [directory]


def test_remote_jobs_are_found_by_what_was_submitted(run: RunDirectory) -> None:
    one, other = run.evaluation("m/b"), run.evaluation("m/c")
    for directory in (one, other):
        directory.path.mkdir(parents=True)
    one.remote_job.write_text("{}")
    assert run.remote_jobs() == run.remote_jobs("m/b") == [one]
    assert run.remote_jobs("m/c") == []


def test_damaged_plans_of_deployments_ask_nothing(run: RunDirectory) -> None:
    for name, text in (("a", '{"evaluations": [["m/b", "f"], ["m/c", "f"]]}'), ("b", "{")):
        path = run.deployment_plan(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert run.deployments() == {"a", "b"}
    assert list(run.deployed()) == [("a", "m/b"), ("a", "m/c")]


def test_the_file_servers_time_is_that_of_a_file(run: RunDirectory) -> None:
    assert run.file_time() is None  # there is no place for the file
    run.write_plan([])
    made = run.plan_file.stat().st_mtime
    now = run.file_time()
    assert now is not None
    assert 0 <= now - made < 60
    assert [path.name for path in run.plan_file.parent.iterdir()] == ["plan.json"]


def test_a_batch_scripts_log_has_no_percent_of_the_path(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "100%" / NAME)
    assert run.batch_log("%x-%j.log").endswith(f"/100%%/{NAME}/.snakeval/%x-%j.log")


def test_no_model_can_have_the_name_of_a_file_of_the_run(run: RunDirectory) -> None:
    files = [*run.tables, run.config, run.report, run.report_samples, run.exports, run.script]
    assert {file.name for file in files} <= _RESERVED
    assert EvaluationDirectory("m/b").attempts.name in _RESERVED


def test_a_run_of_the_last_release_has_the_same_layout(run: RunDirectory) -> None:
    """The names are a contract: jobs that an older snakeval queued write and read them."""
    below = {
        run.config: "config.yaml",
        run.origin: ".snakeval/run.json",
        run.plan_file: ".snakeval/plan.json",
        run.allocations: ".snakeval/allocations.json",
        run.deployment_plan("m"): ".snakeval/deployments/m.json",
        run.head_file("host", 7): ".snakeval/heads/host-7.json",
        run.endpoint_notes: ".snakeval/lepton",
        run.slurm_notes: ".snakeval/slurm_resume",
        run.table: "results.csv",
        run.table_json: "results.json",
        run.table_markdown: "results.md",
        run.report: "report.html",
        run.report_samples: "report",
        run.report_summary: "report/summary.html",
        run.delivered: "export/delivered.json",
        run.script: "run_all.sh",
    }
    assert {path: path.relative_to(run.path).as_posix() for path in below} == below


def test_the_note_of_exports_leads_back_to_the_run(run: RunDirectory) -> None:
    assert RunDirectory.of_delivery(run.delivered) == run
    run.exports.mkdir()
    run.delivered.write_text(json.dumps({"destinations": {}}))
    assert RunDirectory.of_delivery(run.delivered).delivered.is_file()


@pytest.mark.parametrize("identity", ["x", ["x"], 5, None])
def test_an_origin_whose_identity_is_no_mapping_is_damaged_and_replaced(
    run: RunDirectory, identity: object
) -> None:
    run.write_origin({"id": "1", "identity": {"name": "mine", "params": {}}})
    run.origin.write_text(json.dumps({"id": "1", "identity": identity}))
    with pytest.raises(ValueError, match="its identity is no mapping"):
        run.read_origin()
    run.write_origin({"id": "2", "identity": {"name": "mine", "params": {}}})
    assert run.read_origin()["id"] == "2"


@pytest.mark.parametrize("identity", ["3", "[]", '{"params": 3}', '{"params": [1]}', "null"])
def test_a_damaged_origin_gives_no_identity(run: RunDirectory, identity: str) -> None:
    run.write_origin({})
    run.origin.write_text(f'{{"identity": {identity}}}')
    assert run.identity() is None
    run.write_config("name: n\nparams: {limit_samples: 1}\n", "1")
    assert run.identity() == {"name": "n", "params": {"limit_samples": 1}}
