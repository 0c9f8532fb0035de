"""`snakeval eval`: one score without a file, and the file that would give the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from snakeval import cli
from snakeval.config.load import load
from support.configs import write

pytestmark = pytest.mark.usefixtures("place")
ALL = ("--base-url", "http://host/v1", "--model-id", "org/m", "-t", "gsm8k", "--limit", "10")


def test_it_runs_what_it_prints(
    place: Path, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["eval", *ALL, "--", "--cores", "1"]) == 0
    printed = "".join(capsys.readouterr().err.partition("task: lm-eval.gsm8k\n")[:2])
    (argv,) = ran
    saved, _, _ = load([Path(argv[argv.index("--configfile") + 1])])
    assert saved == load([write(place, printed, "mine.yaml")])[0]
    assert saved.params.limit_samples == 10
    assert argv[-2:] == ["--cores", "1"]


def test_overrides_and_a_budget_are_in_what_it_runs_and_prints(
    ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("-o", "params.temperature=0.5", "-o", "~params.limit_samples")
    assert cli.main(["eval", *ALL, *more, "--budget", "tokens=1e6", "--strict", "-n"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["params"] == {"parallelism": "auto", "temperature": 0.5}
    assert printed["budget"] == {"tokens": 1000000}
    (argv,) = ran
    saved, _, _ = load([Path(argv[argv.index("--configfile") + 1])])
    assert saved.params.temperature == 0.5
    assert saved.params.limit_samples is None
    assert "budget={tokens: 1e6}" in argv


def test_a_dry_run_prints_it_to_standard_output(
    ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["eval", *ALL, "-n"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["benchmarks"] == {
        "gsm8k": {"task": "lm-eval.gsm8k"}
    }
    assert ran[0][-1] == "--dry-run"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (ALL[:4], "Missing option '-t'"),
        ((*ALL, "-t", "gsm9k"), "--benchmark gsm9k: no such task; did you mean 'gsm8k'"),
        ((*ALL, "--base-url", "host"), "these options: models.org-m.endpoint.url: is not "),
        ((*ALL, "-o", "params.temprature=0"), "did you mean 'temperature'"),
        ((*ALL, "--budget", "tokens"), "tokens is no kind with an amount"),
        ((*ALL, "--api-key-name", "NOT_SET"), "$NOT_SET is not set"),
        ((*ALL, "--", "--profile", "x"), "-- --profile x: write --profile before the --"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_runs(
    words: tuple[str, ...],
    sentence: str,
    ran: list[list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["eval", *words]) == 2
    assert sentence in capsys.readouterr().err
    assert not ran
