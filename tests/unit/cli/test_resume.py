"""The command that `snakeval resume` starts, and its errors. Nothing starts."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from snakeval import cli
from snakeval.cli.launch import snakemake_process
from snakeval.config.compose import text
from snakeval.config.load import load
from snakeval.dag.handover import Offer
from snakeval.run.directory import RunDirectory
from snakeval.run.find import find
from snakeval.run.index import Entry, remember
from support.configs import VALID, write


class Known:
    """A run that was started in `work`, as the registry and its directory have it."""

    def __init__(self, directory: Path) -> None:
        self.work = directory / "work"
        self.work.mkdir()
        config, _, _ = load([write(self.work, VALID | {"name": "r"})])
        run = find(config)
        self.id, self.path = run.id, self.work / run.directory.path
        (self.path / ".snakeval").mkdir(parents=True)
        identity = {"id": run.id, "identity": run.identity, "snakeval": "0.1.0"}
        (self.path / ".snakeval" / "run.json").write_text(json.dumps(identity))
        saved = f"# Run {run.id}, resolved by snakeval 0.1.0\n{text(config)}"
        (self.path / "config.yaml").write_text(saved)
        self.started()

    def started(self, *options: str) -> None:
        command = ("/bin/snakemake", *options)
        remember(Entry(self.id, "r", str(self.path), str(self.work), command, "0.1.0"))


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Known:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    return Known(tmp_path)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, list[str]]]:
    """The command lines that were run, and where; nothing runs."""
    lines: list[tuple[Path, list[str]]] = []

    def run(argv: Sequence[str], offer: Offer, resume: str) -> int:
        lines.append((Path.cwd(), list(argv)))
        return 0

    monkeypatch.setattr(snakemake_process, "run", run)
    return lines


def resumed(ran: list[tuple[Path, list[str]]], *words: str) -> tuple[Path, list[str]]:
    here = Path.cwd()
    assert cli.main(["resume", *words]) == 0
    os.chdir(here)
    place, argv = ran.pop()
    return place, argv[argv.index("--snakefile") :]


def test_a_run_resumes_in_its_directory_with_its_saved_configuration(
    known: Known, ran: Any
) -> None:
    place, argv = resumed(ran, known.id[:4])
    assert place == known.work
    assert argv[argv.index("--configfile") + 1] == str(known.path / "config.yaml")
    assert argv[-2:] == ["--config", f"run={known.path.name}"]


def test_former_options_stay_except_those_for_one_start(known: Known, ran: Any) -> None:
    known.started(
        *("--snakefile", "/gone/Snakefile", "--configfile", "a.yaml", "--cores", "3"),
        *("--config", "run=new", "models=m", "--forceall", "-n", "--resources", "gpu=2"),
        *("--until", "deploy", "--rerun-incomplete", "results/x"),
    )
    _, argv = resumed(ran, known.id)
    after = argv[argv.index("--configfile") + 2 :]
    assert after == [
        *("--cores", "3", "--resources", "gpu=2", "--rerun-incomplete"),
        *("--config", f"run={known.path.name}"),
    ]


def test_new_options_replace_former_ones(known: Known, ran: Any) -> None:
    known.started("--cores", "3", "--keep-going")
    _, argv = resumed(ran, known.id, "-n", "--", "--cores", "1", "--config", "models=m")
    after = argv[argv.index("--configfile") + 2 :]
    assert after == [
        *("--keep-going", "--cores", "1"),
        *("--config", f"run={known.path.name}", "models=m", "--dry-run"),
    ]


def test_the_former_profile_stays_without_a_new_one(known: Known, ran: Any) -> None:
    for name in ("mine", "other"):
        (known.work / name).mkdir()
        (known.work / name / "config.yaml").write_text("cores: 1\n")
    known.started("--profile", "mine")
    assert resumed(ran, known.id)[1][3] == "mine"
    assert resumed(ran, known.id, "--profile", "other")[1][3] == "other"


def test_a_profile_is_relative_to_the_working_directory_of_the_user(
    known: Known, ran: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "mine").mkdir(parents=True)
    (tmp_path / "here" / "mine" / "config.yaml").write_text("cores: 1\n")
    monkeypatch.chdir(tmp_path / "here")
    assert resumed(ran, known.id, "--profile", "mine")[1][3] == str(tmp_path / "here" / "mine")


def test_a_moved_run_resumes_by_its_directory(known: Known, ran: Any, tmp_path: Path) -> None:
    place = tmp_path / "moved: it's #1"
    place.mkdir()
    shutil.move(known.path, place)
    cwd, argv = resumed(ran, str(place / known.path.name))
    assert cwd == tmp_path / "home" / "work" / known.path.name
    assert argv[-1] == f"run={known.path.name}"
    config, _, _ = load([Path(argv[argv.index("--configfile") + 1])])
    assert config.output_dir == str(place)


def test_a_run_without_its_working_directory_gets_a_new_one(
    known: Known, ran: Any, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    shutil.move(known.work / "results", results)
    shutil.rmtree(known.work)
    entry = Entry(known.id, "r", str(results / known.path.name), str(known.work), ("s",), "0.1.0")
    remember(entry)
    place, argv = resumed(ran, known.id)
    assert place == tmp_path / "home" / "work" / known.path.name
    config, _, _ = load([Path(argv[argv.index("--configfile") + 1])])
    assert config.output_dir == str(results)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("rm config.yaml", "config.yaml is gone, so `resume` cannot continue the run"),
        ("rm .snakeval/run.json", ".snakeval/run.json is gone, so `resume` cannot"),
        ("newer", "snakeval 99.1 saved it, and this is"),
        ("newer, in the old form", "snakeval 99.1 saved it, and this is"),
        ("garbage", "config.yaml, line 1, column 3: "),
        ("moved", "its directory"),
        ("unknown", "nothing: no such run"),
    ],
)
def test_a_run_that_cannot_resume_is_an_error_of_one_sentence(
    known: Known, ran: Any, damage: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted, saved = known.id, known.path / "config.yaml"
    if damage.startswith("rm "):
        (known.path / damage[3:]).unlink()
    elif damage == "newer":
        RunDirectory(known.path).write_config(saved.read_text(), "99.1")
    elif damage == "newer, in the old form":
        saved.write_text(saved.read_text().replace("snakeval 0.1.0", "snakeval 99.1"))
    elif damage == "garbage":
        saved.write_text("{[")
    elif damage == "moved":
        shutil.move(known.path, known.work / "elsewhere")
    else:
        wanted = "nothing"
    assert cli.main(["resume", wanted]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1, error
    assert sentence in error
    assert not ran


def test_the_version_is_data_and_no_text_of_the_configuration(known: Known, ran: Any) -> None:
    run, saved = RunDirectory(known.path), known.path / "config.yaml"
    run.write_config(saved.read_text().replace("snakeval 0.1.0", "snakeval 99.1"), "0.1.0")
    assert cli.main(["resume", known.id]) == 0
    assert len(ran) == 1


def test_a_second_head_is_an_error(
    known: Known, ran: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from snakeval.run import heads

    heads.enter(RunDirectory(known.path), ["snakemake"])
    assert cli.main(["resume", known.id]) == 2
    assert f"process {os.getpid()} already works at it" in capsys.readouterr().err
    assert cli.main(["resume", known.id, "-n"]) == 0


def test_the_saved_configuration_keeps_an_explicit_null(known: Known) -> None:
    content = yaml.safe_load((known.path / "config.yaml").read_text()) | {
        "params": {"temperature": None}
    }
    config, _, _ = load([write(known.work, content, "nulls.yaml")])
    assert yaml.safe_load(text(config))["params"] == {"temperature": None}
