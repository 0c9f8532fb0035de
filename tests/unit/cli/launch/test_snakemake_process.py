"""Snakemake as a child process: exit codes, signals, and a child in the background."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import click
import pytest

from snakeval.cli.launch import snakemake_process
from snakeval.cli.output import add_global_options, json_switch
from snakeval.dag import handover
from support.limits import HUNG
from support.served import wait_for


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 0", 0),
        ("exit 1", 1),
        ("exit 2", 2),
        ("exit 77", 1),
        ("kill -9 $$", 1),
        ("kill -INT $$", 130),
        ("kill -TERM $$", 130),
    ],
)
def test_exit_codes_of_snakemake_become_those_of_snakeval(script: str, code: int) -> None:
    assert snakemake_process.run(["sh", "-c", script]) == code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_the_child_once_and_the_parent_waits(tmp_path: Path, number: int) -> None:
    script = f"trap 'echo told >> told; sleep 0.2; echo ended >> told; exit 0' {number}; touch up; "
    script += "while :; do sleep 0.05; done"

    def tell() -> None:
        wait_for((tmp_path / "up").exists, "it does not start")
        os.kill(os.getpid(), number)

    threading.Thread(target=tell).start()
    before = signal.getsignal(number)
    assert snakemake_process.run(["bash", "-c", script], cwd=tmp_path) == 130
    assert (tmp_path / "told").read_text().split() == ["told", "ended"]
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 3", 1), ("kill -TERM $$", 130)])
def test_a_child_that_ends_early_has_its_exit_code(tmp_path: Path, script: str, code: int) -> None:
    child = handover.detach(["sh", "-c", script], tmp_path / "log")
    assert snakemake_process.settle(child, ready=lambda: False) == code


@pytest.mark.parametrize(("ready", "seconds"), [(True, 500), (False, 0.3)])
def test_a_child_that_is_ready_or_slow_continues(
    tmp_path: Path, ready: bool, seconds: float
) -> None:
    started = time.monotonic()
    child = handover.detach(["sleep", "1800"], tmp_path / "log")
    try:
        assert snakemake_process.settle(child, lambda: ready, seconds) is None
        assert time.monotonic() - started < HUNG
    finally:
        child.kill()
        child.wait()


def test_the_command_is_the_snakemake_of_this_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Path(sys.executable).parent
    words = ["--snakefile", "S", "--profile", "p", "--configfile", "c.yaml", "-n"]
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    made = snakemake_process.command(Path("c.yaml"), "p", ["-n"], snakefile="S")
    assert made == [str(here / "snakemake"), *words]
    monkeypatch.setenv("PATH", str(here))
    assert snakemake_process.command(Path("c.yaml"), "p", ["-n"], snakefile="S") == [
        "snakemake",
        *words,
    ]


def test_snakemake_prints_no_colours_if_no_color_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, count in (("1", 1), ("", 0)):
        monkeypatch.setenv("NO_COLOR", value)
        made = snakemake_process.command(Path("c.yaml"), "p", ["-n"])
        assert made.count("--nocolor") == count
    monkeypatch.setenv("NO_COLOR", "1")
    assert snakemake_process.command(Path("c"), "p", ["--nocolor"]).count("--nocolor") == 1


@pytest.mark.parametrize(("given", "added"), [([], 1), (["--quiet", "rules"], 0), (["-q"], 0)])
def test_a_quiet_command_silences_snakemake_unless_the_user_says_how(
    given: list[str], added: int
) -> None:
    made = snakemake_process.command(Path("c.yaml"), "p", given, is_quiet=True)
    assert made.count("all") == added
    assert "all" not in snakemake_process.command(Path("c.yaml"), "p", given)


def test_verbose_also_prints_the_commands_of_snakemake() -> None:
    @click.command()
    def command() -> list[str]:
        return snakemake_process.command(Path("c.yaml"), "p", [])

    add_global_options(command)
    assert "--printshellcmds" in command.main(["-v"], standalone_mode=False)
    assert "--printshellcmds" not in command.main([], standalone_mode=False)


@pytest.mark.parametrize(("words", "streams"), [([], ("plan\n", "")), (["--json"], ("", "plan\n"))])
def test_with_json_standard_output_has_no_text_of_snakemake(
    words: list[str], streams: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    @json_switch
    def command() -> int:
        return snakemake_process.run([sys.executable, "-c", "print('plan')"])

    assert command.main(words, standalone_mode=False) == 0
    assert capfd.readouterr() == streams
