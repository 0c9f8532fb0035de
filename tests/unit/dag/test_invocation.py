"""The run, the evaluations and the choice of a command, without Snakemake."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from snakeval.errors import ConfigError
from support.configs import COMMAND
from support.invocations import TWO, invocation


def test_each_chosen_evaluation_has_a_record(tmp_path: Path) -> None:
    every = invocation(tmp_path)
    assert [
        Path(record).relative_to(every.directory.path).as_posix() for record in every.records
    ] == [f"{model}/{benchmark}/evaluation.json" for model in "mn" for benchmark in "bc"]
    chosen = invocation(tmp_path, models="n", benchmarks=["c"])
    assert len(chosen.records) == 1
    assert len(chosen.everything) == 4
    assert chosen.plan == every.plan, "the table holds all, whatever is chosen"


def test_adaptive_evaluations_share_an_endpoint_with_those_that_run_at_once(
    tmp_path: Path,
) -> None:
    found = invocation(tmp_path, TWO | {"params": {"parallelism": "auto"}})
    assert {each.transport.rivals for each in found.everything} == {4}
    before = [each.fingerprint for each in found.everything]
    found.share(2)
    assert {each.transport.rivals for each in found.selected.values()} == {2}
    assert [each.fingerprint for each in found.everything] == before
    fixed = invocation(tmp_path)
    fixed.share(1)
    assert {each.transport.rivals for each in fixed.everything} == {1}


def test_an_unknown_evaluation_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="m/nosuch is no evaluation of this run"):
        invocation(tmp_path).evaluation("m", "nosuch")


def test_a_choice_without_evaluations_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no evaluation is in both; choose more"):
        invocation(tmp_path, TWO | {"exclude": ["m/b"]}, models="m", benchmarks="b")


def test_a_file_that_the_user_may_not_read_is_an_error_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = invocation(tmp_path)
    note = first.directory.evaluation("m/b").private / "attempt.json"
    note.parent.mkdir(parents=True)
    note.write_text("{}")
    first.directory.write_origin({"id": first.run.id, "identity": first.run.identity})
    real = os.open

    def denied(path: str, *arguments: int, **options: int) -> int:
        if str(path).endswith("attempt.json"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(ConfigError, match=r"attempt.json: cannot be read \(Perm"):
        invocation(tmp_path, run=first.run.id)


def test_an_equal_command_joins_a_run_whose_directory_the_first_one_has_not_made(
    tmp_path: Path,
) -> None:
    first, second = (invocation(tmp_path, starts=True) for _ in range(2))
    assert first.run != second.run, "both plan before the claim"
    assert first.reserved() is first
    joined = second.reserved()
    assert joined.run.directory == first.run.directory
    assert not joined.run.exists
    assert joined.records == first.records
    assert joined.facts.starts
    assert invocation(tmp_path).reserved().run == joined.run, "the Snakemake of that command"


def test_the_plan_changes_only_with_the_content_of_the_table(tmp_path: Path) -> None:
    plan = invocation(tmp_path).plan
    assert invocation(tmp_path, params={"parallelism": 9}).plan == plan
    assert invocation(tmp_path, TWO | {"exclude": ["m/b"]}).plan != plan
    assert invocation(tmp_path, params={"top_p": 0.5}).plan != plan
    samples = {"file": "s.jsonl", "scores": {"v": "v"}}
    told = COMMAND | {"metrics": {**COMMAND["metrics"], "samples": samples}}
    told = TWO | {"benchmarks": {"b": told, "c": COMMAND}}
    assert invocation(tmp_path, told).plan != plan, "intervals are made of samples"


def test_an_invocation_and_its_checks_import_no_snakemake() -> None:
    code = (
        "import sys; import snakeval.dag.invocation, snakeval.dag.preflight, snakeval.dag.reruns;"
        "print([name for name in sys.modules if name.partition('.')[0] == 'snakemake'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_other_runs_whose_journals_answer_are_no_part_of_the_definition(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    first = invocation(tmp_path / "first")
    first.run.start()
    path = first.run.directory.path
    (tmp_path / "second").mkdir()
    plain = invocation(tmp_path / "second")
    found = invocation(tmp_path / "second", answers=str(path))
    assert {each.transport.answers for each in found.everything} == {(str(path.resolve()),)}
    assert [e.fingerprint for e in found.everything] == [e.fingerprint for e in plain.everything]
    with pytest.raises(ConfigError, match="names the run itself"):
        invocation(tmp_path / "first", answers=str(path))
    with pytest.raises(ConfigError, match="nosuch"):
        invocation(tmp_path / "second", answers="nosuch")
