"""``--strict`` turns warnings of answer health into an exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from snakeval.cli.launch.mode import Place
from snakeval.cli.strict_option import code_of, refuse_elsewhere, strict_option
from snakeval.errors import ConfigError
from support.made import Made, snakeval

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    found = Made(tmp_path, "warned", "well")
    found.judged("warned", cut=7)
    found.judged("well")
    return found


def test_results_exit_with_3_if_an_evaluation_warns(made: Made, capsys: Capture) -> None:
    assert snakeval(capsys, "results", "0123").exit_code == 0
    assert snakeval(capsys, "results", "0123", "--strict").exit_code == 3
    assert snakeval(capsys, "results", "0123/m/well", "--strict").exit_code == 0
    assert "12 % cut" in snakeval(capsys, "results", "0123", "--format", "csv").out


@pytest.mark.parametrize("has_failed", [True, False])
def test_results_exit_with_1_if_an_evaluation_is_not_done(
    has_failed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    made = Made(tmp_path, "warned", "other")
    made.judged("warned", cut=7)
    if has_failed:
        made.failed("other", "the harness exited with 1")
    assert snakeval(capsys, "results", "0123").exit_code == 0
    assert snakeval(capsys, "results", "0123", "--strict").exit_code == 1
    assert snakeval(capsys, "results", "0123/m/warned", "--strict").exit_code == 3


def ended(*arguments: str, **options: Any) -> int:
    """Return the exit code of a strict command."""

    @strict_option
    @click.command()
    def command() -> int:
        return code_of(**options)

    found = command.main([*arguments], standalone_mode=False)
    assert isinstance(found, int)
    return found


def test_a_run_exits_with_3_only_for_warnings_of_its_own_command(made: Made) -> None:
    both = {("m", "warned"), ("m", "well")}
    known: dict[str, Any] = {"run": made.directory, "dry_run": False}
    assert ended("--strict", code=0, evaluations=both, **known) == 3
    assert ended(code=0, evaluations=both, **known) == 0
    assert ended("--strict", code=0, evaluations={("m", "well")}, **known) == 0
    assert ended("--strict", code=1, evaluations=both, **known) == 1
    assert ended("--strict", code=0, evaluations=both, run=made.directory, dry_run=True) == 0


def test_a_run_that_continues_elsewhere_cannot_be_strict() -> None:
    refuse_elsewhere(Place.BACKGROUND)

    @strict_option
    @click.command()
    def command() -> None:
        refuse_elsewhere(Place.BACKGROUND)

    with pytest.raises(ConfigError, match="--strict waits for the end of the run, and --detach"):
        command.main(["--strict"], standalone_mode=False)
