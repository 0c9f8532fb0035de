"""Errors of `snakeval run` before Snakemake starts: one sentence, exit code 2."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from snakeval import cli
from snakeval.cli import launch
from snakeval.cli.launch import snakemake_process
from snakeval.config.config import Config
from snakeval.config.load import load
from snakeval.dag.planning import CHECK
from snakeval.files import home
from snakeval.ledger.start_time import start_time
from snakeval.run import heads
from snakeval.run.directory import RunDirectory
from snakeval.run.find import find
from support.configs import COMMAND, VALID, changed, write

pytestmark = pytest.mark.usefixtures("place")
C = ("--config", "c.yaml")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "no configuration; name its file, or create one with `snakeval init`"),
        (("--config-dir", "."), "--config-dir . chooses no file; add --config-name"),
        ((*C, "--config-name", "x"), "--config and --config-dir each choose a configuration"),
        (("--config", "d.yaml"), "d.yaml: no such file; choose one of c.yaml"),
        (("--config-dir", "no", "--config-name", "c"), "no: no such directory; check the path"),
        ((*C, "--check"), "--check asks before a run; add --dry-run"),
        ((*C, "d.yaml"), "d.yaml: --config c.yaml is the configuration; remove one"),
        (("c.yaml", "--model", "q"), "--config models: no 'q' in the configuration"),
        (("c.yaml", "--model", "m", "--", "--config", "models=m"), "--model and --config models="),
        (
            ("c.yaml", "--env-file", "no"),
            "--env-file no: cannot be read (No such file",
        ),
        ((*C, "params.top_p=1"), "params.top_p=1: write -o params.top_p=1"),
        ((*C, "-o", "modles={}"), "-o modles={}: no key 'modles' in c.yaml; did you mean 'models'"),
        ((*C, "-o", "+params.top_p=2"), "-o: params.top_p: input should be less than or equal"),
        ((*C, "-o", "+config.parms=1"), "-o: config.parms: unknown key 'parms'; did you mean"),
        ((*C, "--profile", "locl"), "--profile locl: no such profile; did you mean 'local'?"),
        (("..",), "..: is a directory, and a configuration is a file; name the file"),
        (
            ("--config", "."),
            ".: is a directory, and a configuration is a file; name its",
        ),
        ((*C, "-n", "--detach"), "--dry-run prints the plan here; remove it or --detach"),
        ((*C, "--", "--configfile", "x"), "-- --configfile x: name the file with --config"),
        ((*C, "--", "--profile", "x"), "-- --profile x: write --profile before the --"),
        ((*C, "--", "--config", "models=q"), "--config models: no 'q' in the configuration"),
        ((*C, "--", "--config", "run=abcd"), "--config run=abcd: no such run in results"),
        ((*C, "--", "--config", "name"), "--config name: "),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_runs(
    words: tuple[str, ...],
    sentence: str,
    ran: list[list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["run", *words]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1, error
    assert sentence in error
    assert not ran


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (changed("models", "m", "endpoint", "api_key_name", to="NOT_SET"), "$NOT_SET is not set"),
        (changed("benchmarks", "b", to={"task": "gsm9k"}), "no task 'gsm9k' in the catalogue"),
        (VALID | {"output_dir": "c.yaml"}, "output_dir: "),
        ({"evaluation": {}}, "evaluation.tasks: must be a list of tasks"),
        ("a: 1\na: 2\n", "line 2, column 1: duplicate key 'a'"),
    ],
)
def test_a_configuration_that_cannot_run_is_an_error_before_snakemake(
    place: Path,
    content: Any,
    sentence: str,
    ran: list[list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(place, content)
    assert cli.main(["run", *C]) == 2
    assert sentence in capsys.readouterr().err
    assert not ran


def test_the_saved_configuration_has_absolute_paths_and_no_secret(
    place: Path, ran: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "the-secret-itself")
    (place / "files").mkdir()
    content = changed("models", "m", "endpoint", "api_key_name", to="MY_KEY")
    content["benchmarks"]["b"]["files"] = "files"
    write(place, content)
    assert cli.main(["run", *C, "-o", "+name=mine"]) == 0
    (saved,) = (place / "home" / "composed").iterdir()
    assert saved.name.startswith("mine-")
    assert saved.name.endswith(".yaml")
    assert str(place / "files") in saved.read_text()
    assert not [p for p in (place / "home").rglob("*") if p.is_file() and "secret" in p.read_text()]
    (argv,) = ran
    assert argv[argv.index("--configfile") + 1] == str(saved)
    assert load([saved])[0].benchmarks["b"].files == str(place / "files")


@pytest.mark.parametrize("words", [(), ("-n",), ("--", "--config", "params={top_p: 0.5}")])
def test_the_configuration_is_checked_once(
    words: tuple[str, ...], ran: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []
    check = Config.model_validate
    monkeypatch.setattr(Config, "model_validate", lambda data: checked.append(1) or check(data))
    assert cli.main(["run", *C, *words]) == 0
    assert checked == [1]


def test_values_of_snakemakes_config_are_saved(place: Path, ran: list[list[str]]) -> None:
    assert cli.main(["run", *C, "--", "--config", "params={top_p: 0.5}", "models=m"]) == 0
    (saved,) = (place / "home" / "composed").iterdir()
    assert load([saved])[0].params.top_p == 0.5
    assert ran[0][-3:] == ["--config", "params={top_p: 0.5}", "models=m"]


def test_a_dry_run_prints_the_configuration_before_a_missing_variable(
    place: Path, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    write(place, changed("models", "m", "endpoint", "api_key_name", to="NOT_SET"))
    assert cli.main(["run", *C, "-n"]) == 2
    shown = capsys.readouterr()
    assert "api_key_name: NOT_SET" in shown.out
    assert "$NOT_SET is not set; export it" in shown.err


def test_execution_chooses_the_profile_by_default(
    place: Path, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    content = {
        "defaults": [{"execution": "slurm/default"}, {"deployment": "none"}, "_self_"],
        "benchmarks": {"b": COMMAND},
        "models": VALID["models"],
    }
    write(place, content)
    (place / "slurm").mkdir()
    (place / "slurm" / "config.yaml").write_text("cores: 1\n")
    assert cli.main(["run", *C]) == 0
    assert cli.main(["run", *C, "--profile", "local"]) == 0
    profiles = [Path(argv[argv.index("--profile") + 1]).name for argv in ran]
    assert profiles == ["slurm", "local"]


def head_of(run: RunDirectory, host: str, pid: int) -> None:
    """Note a head at a run, as the head itself would."""
    record = {"host": host, "pid": pid, "start": start_time(pid) or "", "command": "snakemake"}
    place = run.head_file(host, pid)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(record))


@pytest.fixture
def run_directory(place: Path) -> RunDirectory:
    run = find(load([Path("c.yaml")])[0], files=[Path("c.yaml")])
    run.start()
    return run.directory


def test_a_second_head_is_an_error(
    run_directory: RunDirectory, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    head_of(run_directory, socket.gethostname(), os.getpid())
    assert heads.heads(run_directory)
    assert cli.main(["run", *C]) == 2
    assert f"process {os.getpid()} already works at it" in capsys.readouterr().err
    assert not ran
    assert cli.main(["run", *C, "-n"]) == 0
    assert cli.main(["run", *C, "--", "--config", "run=new"]) == 0


def test_a_head_on_another_host_is_a_warning(
    run_directory: RunDirectory, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    head_of(run_directory, "elsewhere", 1)
    assert cli.main(["run", *C]) == 0
    assert "process 1 on elsewhere may still work at run" in capsys.readouterr().err


def test_a_detached_run_prints_its_process_and_how_to_follow_it(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch, "detach", lambda argv, log, offer: SimpleNamespace(pid=1234))
    monkeypatch.setattr(snakemake_process, "settle", lambda child, ready: None)
    assert cli.main(["run", *C, "--detach"]) == 0
    out = capsys.readouterr().out
    run_id = find(load([Path("c.yaml")])[0], files=[Path("c.yaml")]).id
    assert f"Run {run_id} continues in the background as process 1234." in out
    assert f"  log     {home()}/logs/{run_id}-" in out
    assert f"snakeval status {run_id} --watch" in out
    assert cli.main(["run", *C, "--detach", "-q"]) == 0
    assert capsys.readouterr() == (f"{run_id}\n", "")
    assert cli.main(["run", *C, "--detach", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["id"], data["process"], data["exit_code"]) == (run_id, 1234, 0)


def test_a_detached_run_that_ends_at_once_prints_the_end_of_its_log(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        snakemake_process, "command", lambda *_, **__: ["sh", "-c", "seq 1 50; exit 3"]
    )
    assert cli.main(["run", *C, "--detach"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    *_, last, sentence = shown.err.splitlines()
    assert last == "50"
    run_id = find(load([Path("c.yaml")])[0], files=[Path("c.yaml")]).id
    assert sentence.startswith(f"Run {run_id} has ended already: {home()}/logs/{run_id}-")


def test_help_has_examples(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["run", "--help"]) == 0
    said = capsys.readouterr().out
    for option in ("--dry-run", "--detach"):
        assert f"snakeval run my.yaml {option}\n" in said


def test_a_check_is_passed_to_the_snakemake_of_the_dry_run(
    ran: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHECK, "")
    assert cli.main(["run", *C, "--dry-run", "--check"]) == 0
    assert os.environ[CHECK] == "1"
    assert "--dry-run" in ran[0]


@pytest.mark.parametrize(
    "profile",
    [(), ("--profile", "local"), ("--profile", "slurm")],
)
def test_a_launchers_file_prints_its_notes_and_has_options_of_its_own_executor_only(
    place: Path,
    ran: list[list[str]],
    profile: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sbatch = place / "bin/sbatch"  # the command only looks whether there is one
    sbatch.parent.mkdir()
    sbatch.touch(0o755)
    monkeypatch.setenv("PATH", f"{sbatch.parent}:{os.environ['PATH']}")
    target = {"api_endpoint": {"url": "http://host/v1/chat/completions", "model_id": "m"}}
    write(place, {"target": target, "evaluation": {"tasks": [{"name": "ifeval"}]}})
    assert cli.main(["run", *C, *profile]) == 0
    note = "note: execution.mode: is sequential, the launcher's default; or write parallel\n"
    assert note in capsys.readouterr().err
    (words,) = ran
    assert ("--cores" in words) == (profile != ("--profile", "slurm"))
