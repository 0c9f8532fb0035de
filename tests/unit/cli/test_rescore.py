"""The command that `snakeval rescore` starts, and its errors. Nothing starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from snakeval.cli.launch import snakemake_process
from snakeval.config.compose import text
from snakeval.dag.handover import Offer
from snakeval.dag.invocation import Invocation
from support.invocations import invocation
from support.made import snakeval
from support.stored import STORED, stored_run

Ran = list[tuple[Path, list[str]]]


@pytest.fixture
def origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invocation:
    """A finished run that was started in `work`, and a user who is elsewhere."""
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    for name in ("MODEL_KEY", "JUDGE_KEY"):
        monkeypatch.delenv(name, raising=False)
    made = stored_run(tmp_path / "work")
    monkeypatch.chdir(tmp_path)
    return made


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Ran:
    """The command lines that were run, and where; nothing runs."""
    lines: Ran = []

    def run(argv: Sequence[str], offer: Offer, resume: str) -> int:
        lines.append((Path.cwd(), list(argv)))
        return 0

    monkeypatch.setattr(snakemake_process, "run", run)
    return lines


def after(argv: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Return the configuration of a command line, and the words after it."""
    place = argv.index("--configfile") + 1
    return yaml.safe_load(Path(argv[place]).read_text()), list(argv[place + 1 :])


def test_a_run_is_scored_again_in_its_directory_without_keys(
    origin: Invocation, ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    said = snakeval(capsys, "rescore", origin.run.id[:4])
    assert said.exit_code == 0, said.err
    ((place, argv),) = ran
    assert place.name == "work"
    config, words = after(argv)
    assert config["output_dir"] == str(origin.directory.path.parent)
    assert words == ["--cores", "3", "--config", f"rescore={origin.directory.path}"]


def test_switches_are_values_of_config(
    origin: Invocation,
    ran: Ran,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JUDGE_KEY", "k")
    monkeypatch.setenv("MODEL_KEY", "k")
    name = f"{origin.run.id}/m/c"
    said = snakeval(
        *(capsys, "rescore", name, "--judge", "j", "--ask", "-n", "--", "--cores", "1"),
    )
    assert said.exit_code == 0, said.err
    config, words = after(ran[0][1])
    assert config["include"] == [{"model": "m", "benchmark": "c"}]
    switches = [f"rescore={origin.directory.path}", "judge=j", "ask=true"]
    assert words == ["--cores", "1", "--config", *switches, "--dry-run"]


def test_chosen_evaluations_have_another_image_and_other_values(
    origin: Invocation, ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("m/b", "--image", "mine:1", "-o", "benchmarks.b.command='score {{ url }}'")
    said = snakeval(capsys, "rescore", origin.run.id, *words)
    assert said.exit_code == 0, said.err
    config, _ = after(ran[0][1])
    assert config["benchmarks"]["b"]["image"] == "mine:1"
    assert config["benchmarks"]["b"]["command"] == "score {{ url }}"
    assert config["include"] == [{"model": "m", "benchmark": "b"}]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("m/nosuch",), "m has no benchmark 'nosuch'; it has b, c"),
        (("--judge", "k"), "asks no such model; it has j"),
        (("--ask",), "$MODEL_KEY is not set"),
        (("--judge", "j"), "auxiliary.j.endpoint.api_key_name: $JUDGE_KEY is not set"),
        (("--", "--configfile", "x"), "name the file with --config"),
        (("--strict", "--detach"), "--strict waits for the end of the run"),
        (("--env-file", "nosuch"), "--env-file nosuch: cannot be read"),
    ],
)
def test_bad_input_is_one_sentence(
    origin: Invocation,
    ran: Ran,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    problem: str,
) -> None:
    said = snakeval(capsys, "rescore", origin.run.id, *words)
    assert said.exit_code == 2
    assert problem in said.err
    assert "Traceback" not in said.err
    assert ran == []


def test_a_run_without_its_configuration_cannot_be_scored_again(
    origin: Invocation, ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    origin.directory.config.unlink()
    said = snakeval(capsys, "rescore", origin.run.id)
    assert (said.exit_code, ran) == (2, [])
    assert "config.yaml is gone, so `rescore` cannot read the run" in said.err


def test_a_re_score_resumes_as_one_also_without_the_weights(
    origin: Invocation, ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    made = invocation(
        origin.directory.path.parent.parent, STORED, rescore=str(origin.directory.path)
    )
    assert made.rescoring is not None
    made.rescoring.note(made.directory)
    made.run.start()
    made.directory.write_config(text(made.config), "0.1.0")
    said = snakeval(capsys, "resume", str(made.directory.path))
    assert said.exit_code == 0, said.err
    _, words = after(ran[0][1])
    assert words[-2:] == [f"run={made.directory.name}", f"rescore={origin.directory.path}"]
    made.directory.rescore.write_text("{")
    said = snakeval(capsys, "resume", str(made.directory.path))
    assert (said.exit_code, len(ran)) == (2, 1)
    assert "rescore.json: cannot be read" in said.err
