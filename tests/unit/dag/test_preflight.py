"""The checks before anything runs."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict
from pathlib import Path

import pytest

from snakeval.dag.invocation import Invocation
from snakeval.dag.preflight import check, make_way_for_directories, refuse_other_definitions
from snakeval.errors import ConfigError
from snakeval.run.find import OtherDefinitionError
from snakeval.run.heads import Head
from support.configs import COMMAND, MODEL, changed
from support.invocations import SERVER, TWO, invocation, serving
from support.made import gone


def test_an_unset_or_empty_variable_is_one_problem_with_its_key(tmp_path: Path) -> None:
    content = changed("models", "m", "endpoint", "api_key_name", to="MY_KEY")
    content["models"]["n"] = MODEL
    content["benchmarks"] = {"b": COMMAND | {"env": ["TOKEN"]}, "c": COMMAND}
    opened = invocation(tmp_path, content)
    for environment in ({}, {"MY_KEY": ""}):
        with pytest.raises(ConfigError) as refused:
            check(opened, environment)
        assert str(refused.value).splitlines() == [
            "models.m.endpoint.api_key_name: $MY_KEY is not set; export it",
            "benchmarks.b.env: $TOKEN is not set; export it",
        ]
    check(opened, {"MY_KEY": "k", "TOKEN": ""})
    check(invocation(tmp_path, content, models="n", benchmarks="c"), {})


def test_a_key_that_nothing_needs_offline_may_be_unset(tmp_path: Path) -> None:
    content = changed("models", "m", "endpoint", "api_key_name", to="MY_KEY")
    content["benchmarks"] = {"b": COMMAND | {"env": ["MY_KEY", "TOKEN"]}}
    opened = invocation(tmp_path, content, offline=True)
    with pytest.raises(ConfigError) as refused:
        check(opened, {})
    assert str(refused.value) == "benchmarks.b.env: $TOKEN is not set; export it"
    check(opened, {"TOKEN": ""})


def test_an_output_directory_below_a_file_is_a_problem(tmp_path: Path) -> None:
    opened = invocation(tmp_path, output_dir=str(tmp_path / "c.yaml" / "out"))
    with pytest.raises(ConfigError, match=r"output_dir: .*c\.yaml is a file; name a directory"):
        check(opened, {})


@pytest.mark.parametrize("place", ["report", "export", "m", "m/b", ".snakeval", ".snakeval/heads"])
def test_a_file_in_the_place_of_a_directory_moves_aside_at_a_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    opened = invocation(tmp_path)
    wrong = opened.directory.path / place
    wrong.parent.mkdir(parents=True)
    wrong.write_text("a user's file")
    with pytest.raises(ConfigError, match=f"{place}: is no file of the run; remove it, or start"):
        make_way_for_directories(opened, starts=False)
    assert wrong.read_text() == "a user's file"
    make_way_for_directories(opened, starts=True)
    assert not wrong.exists()
    assert wrong.with_name(f"{wrong.name}.damaged-1").read_text() == "a user's file"
    assert f"{wrong} is damaged (no directory); kept as" in capsys.readouterr().err
    make_way_for_directories(opened, starts=False)


def test_a_link_to_itself_hides_no_other_misplaced_file(tmp_path: Path) -> None:
    content = changed("benchmarks", "c", to=COMMAND)
    opened = invocation(tmp_path, content)
    model = opened.directory.path / "m"
    model.mkdir(parents=True)
    (model / "b").symlink_to("b")
    (model / "c").write_text("a user's file")
    make_way_for_directories(opened, starts=True)
    assert sorted(path.name for path in model.iterdir()) == ["b.damaged-1", "c.damaged-1"]


@pytest.mark.parametrize("place", ["m/b/evaluation.json", "results.csv", "report/summary.html"])
def test_a_broken_link_in_the_place_of_an_output_moves_aside_at_a_start(
    tmp_path: Path, place: str
) -> None:
    opened = invocation(tmp_path)
    wrong = opened.directory.path / place
    wrong.parent.mkdir(parents=True)
    wrong.symlink_to(wrong.name)
    with pytest.raises(ConfigError, match=f"{place}: is no file of the run"):
        make_way_for_directories(opened, starts=False)
    make_way_for_directories(opened, starts=True)
    assert not wrong.is_symlink()
    make_way_for_directories(opened, starts=False)


def test_an_unset_variable_of_a_server_is_a_problem(tmp_path: Path) -> None:
    content = serving(benchmarks={"b": COMMAND | {"auxiliary": ["judge"]}})
    content["models"]["m"] = {"deployment": SERVER | {"env": ["HF_TOKEN"]}}
    content["auxiliary"]["judge"] = {"deployment": SERVER | {"env": {"KEY": "MY_KEY"}}}
    content["auxiliary"]["unasked"] = {"deployment": SERVER | {"env": ["NOBODY_NEEDS"]}}
    opened = invocation(tmp_path, content)
    with pytest.raises(ConfigError) as refused:
        check(opened, {})
    assert str(refused.value).splitlines() == [
        "models.m.deployment.env: $HF_TOKEN is not set; export it",
        "auxiliary.judge.deployment.env: $MY_KEY is not set; export it",
    ]
    check(opened, {"HF_TOKEN": "", "MY_KEY": ""})


HOT = TWO | {"benchmarks": TWO["benchmarks"] | {"b": COMMAND | {"params": {"temperature": 0.5}}}}


def works(opened: Invocation, pid: int, since: float = 0) -> None:
    """Another command works at the run of an invocation."""
    opened.run.start()
    opened.saved.save("", opened.planned, (), {})
    head = Head(socket.gethostname(), pid, "", "snakemake", invocation=opened.key, since=since)
    place = opened.directory.head_file(head.host, pid)
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps(asdict(head)))


def test_a_command_that_defines_what_another_works_at_differently_fails(
    tmp_path: Path,
) -> None:
    works(invocation(tmp_path), os.getppid())
    with pytest.raises(OtherDefinitionError) as refused:
        check(invocation(tmp_path, HOT), {})
    lines = str(refused.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["m/b", "n/b"]
    assert all("run=new" in line for line in lines)
    check(invocation(tmp_path, TWO | {"benchmarks": {"c": COMMAND}}), {})
    check(invocation(tmp_path, params={"parallelism": 1}), {})


def test_a_command_works_at_the_models_that_it_chose(tmp_path: Path) -> None:
    opened = invocation(tmp_path)
    works(opened, os.getppid())
    (file,) = opened.directory.head_files()
    file.write_text(json.dumps(json.loads(file.read_text()) | {"models": ["m"]}))
    with pytest.raises(OtherDefinitionError) as refused:
        check(invocation(tmp_path, HOT), {})
    assert [line.partition(":")[0] for line in str(refused.value).splitlines()] == ["m/b"]


def test_a_command_that_has_ended_refuses_no_other(tmp_path: Path) -> None:
    works(invocation(tmp_path), gone())
    check(invocation(tmp_path, HOT), {})


def test_of_two_commands_that_begin_at_the_same_time_one_fails(tmp_path: Path) -> None:
    works(invocation(tmp_path), os.getppid(), since=1)
    other = invocation(tmp_path, HOT)
    works(other, os.getpid(), since=2)
    with pytest.raises(OtherDefinitionError):
        refuse_other_definitions(other, entered=True)
    works(other, os.getpid(), since=0.5)
    refuse_other_definitions(other, entered=True)


def test_a_dry_run_only_reports_that_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: not mode & os.W_OK)
    opened = invocation(tmp_path)
    with pytest.raises(ConfigError, match=r"output_dir: .* cannot be written"):
        check(opened, {})
    check(opened, {}, starts=False)
    assert "snakeval: the run would fail: output_dir: " in capsys.readouterr().err
