"""`snakeval logs`: the right log, whole, its end, or as it is written."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from snakeval.run.heads import enter, leave
from snakeval.watch.follow import log_start
from support.made import Made, between_looks, snakeval

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("snakeval.watch.follow._LOOK_SECONDS", 0.02)
    monkeypatch.setattr("snakeval.watch.follow._RETRY_SECONDS", 0.3)
    monkeypatch.setattr("snakeval.watch.follow._LAST_WORDS_SECONDS", 0.3)
    return Made(tmp_path, "b")


Meanwhile = Callable[..., None]


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Do one thing after the other, each between two looks of the command."""

    def do(*steps: Callable[[], object]) -> None:
        monkeypatch.setattr("snakeval.cli.logs.time", between_looks(*steps))

    return do


# --- an evaluation's ----------------------------------------------------------------------------


def test_the_newest_attempt_s_log_is_printed_and_earlier_ones_are_listed(
    run: Made, capsys: Capture
) -> None:
    run.begun("b", "first\n")
    run.begun("b", "second\n")
    said = snakeval(capsys, "logs", "01/m/b")
    assert said.exit_code == 0
    assert said.out.endswith("second\n")
    assert "first" not in said.out
    assert said.err == (
        f"0123abcd/m/b: {run.path}/m/b/logs/attempt-2.log (1 earlier in {run.path}/m/b)\n"
    )


def test_snakemake_may_have_deleted_the_link_to_it(run: Made, capsys: Capture) -> None:
    run.begun("b", "said\n").log.unlink()
    assert snakeval(capsys, "logs", "01/m/b").out.endswith("said\n")


@pytest.mark.parametrize(("lines", "shown"), [("2", "2\n3"), ("0", ""), ("1", "3")])
def test_only_the_last_lines_may_be_asked_for(
    run: Made, capsys: Capture, lines: str, shown: str
) -> None:
    run.begun("b", "1\n2\n3")
    assert snakeval(capsys, "logs", "01/m/b", "-n", lines).out == shown


def test_bytes_that_are_not_text_are_printed_unchanged(run: Made, capfdbinary: object) -> None:
    place = run.begun("b")
    place.attempt_log(1).write_bytes(b"\xff\x00\r50%\r100%\n")
    from snakeval import cli

    assert cli.main(["logs", "01/m/b"]) == 0
    assert capfdbinary.readouterr().out == b"\xff\x00\r50%\r100%\n"  # type: ignore[attr-defined]


def test_a_log_that_does_not_exist_yet_is_an_error_with_the_state(
    run: Made, capsys: Capture
) -> None:
    said = snakeval(capsys, "logs", "01/m/b")
    assert (said.exit_code, said.out) == (2, "")
    assert said.err == "snakeval: 0123abcd/m/b: has no log: it is pending\n"


def test_following_waits_for_the_log_and_prints_it_until_its_end(
    run: Made, capsys: Capture, meanwhile: Meanwhile
) -> None:
    def end() -> None:
        with run["b"].attempt_log(1).open("a") as file:
            file.write("ends\n")
        run["b"].fail("out of coffee")
        (run["b"].private / "lease").unlink()

    meanwhile(lambda: run.held("b", "begins\n"), end)
    said = snakeval(capsys, "logs", "01/m/b", "--follow")
    assert said.exit_code == 0
    assert said.out.endswith("begins\nends\n")
    assert said.err.startswith("0123abcd/m/b: has no log: it is pending; waits for it\n")
    assert said.err.endswith("0123abcd/m/b: failed: out of coffee\n")


def test_it_is_followed_into_another_attempt(
    run: Made, capsys: Capture, meanwhile: Meanwhile
) -> None:
    lease = run.held("b", "first\n")

    def fail() -> None:
        run["b"].fail("for now")
        lease.unlink()

    def finish() -> None:
        run.done("b")
        lease.unlink()

    meanwhile(fail, lambda: run.held("b", "second\n"), finish)
    said = snakeval(capsys, "logs", "01/m/b", "-f", "-n", "1")
    first, second = said.out.split("\n\n==> ", 1)
    assert first == "first"
    assert "attempt-2.log <==" in second
    assert "second\n" in second
    assert said.err.endswith("0123abcd/m/b: done: v 0.2500 ± 0.1000\n")


def test_one_that_has_ended_is_printed_and_not_waited_for(run: Made, capsys: Capture) -> None:
    run.failed("b", "out of coffee")
    assert snakeval(capsys, "logs", "01/m/b", "-f").exit_code == 0


def test_an_interrupted_one_is_waited_for_while_a_head_may_resume_it(
    run: Made, capsys: Capture, meanwhile: Meanwhile
) -> None:
    run.begun("b", "first\n")
    enter(run.directory, ["snakemake"])
    meanwhile(lambda: None, lambda: None, lambda: run.done("b"))
    said = snakeval(capsys, "logs", "01/m/b", "-f")
    assert "attempt-2.log <==" in said.out


# --- a model's server ---------------------------------------------------------------------------


def test_a_model_s_is_how_it_was_deployed_and_what_its_server_printed(
    run: Made, capsys: Capture
) -> None:
    place = run.deploys("m", "m/b")
    (place / "deploy.log").write_text("ready\n")
    for number in (1, 2):
        (place / f"server-{number}.log").write_text(f"serves {number}\n")
    (place / "server.log").symlink_to("server-2.log")
    said = snakeval(capsys, "logs", "01/m")
    assert said.out == (
        f"==> {place}/deploy.log <==\nready\n\n==> {place}/server-2.log <==\nserves 2\n"
    )
    assert said.err == f"0123abcd/m: 1 earlier in {place}\n"


def test_a_server_that_another_run_started_has_its_log_there(
    run: Made, tmp_path: Path, capsys: Capture
) -> None:
    place = run.deploys("m", "m/b")
    (tmp_path / "server.log").write_text("serves\n")
    record = {"state": "ready", "log": str(tmp_path / "server.log")}
    (place / "deployment.json").write_text(json.dumps(record))
    assert snakeval(capsys, "logs", "01/m").out == "serves\n"


def test_an_auxiliary_model_s_server_also_has_a_log(run: Made, capsys: Capture) -> None:
    (run.deploys("judge", "m/b") / "deploy.log").write_text("ready\n")
    assert snakeval(capsys, "logs", "01/judge").out == "ready\n"


def test_a_server_s_is_followed_from_one_start_to_the_next(
    run: Made, capsys: Capture, meanwhile: Meanwhile
) -> None:
    place = run.deploys("m", "m/b")
    (place / "server-1.log").write_text("serves 1\n")
    (place / "server.log").symlink_to("server-1.log")
    enter(run.directory, ["snakemake"])

    def again() -> None:
        (place / "server-2.log").write_text("serves 2\n")
        (place / "draft").symlink_to("server-2.log")
        (place / "draft").replace(place / "server.log")

    meanwhile(again, lambda: leave(run.directory))
    said = snakeval(capsys, "logs", "01/m", "-f")
    assert said.out == f"serves 1\n\n==> {place}/server-2.log <==\nserves 2\n"


def test_an_endpoint_has_none(run: Made, capsys: Capture) -> None:
    said = snakeval(capsys, "logs", "01/m")
    assert said.exit_code == 2
    assert "0123abcd/m: is an endpoint, of which nothing was started here" in said.err


# --- a run's ------------------------------------------------------------------------------------


def snakemake_log(run: Made, name: str, text: str) -> Path:
    log = run.cwd / ".snakemake/log" / f"{name}.snakemake.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(text)
    return log


def detached_log(run: Made, stamp: str, text: str) -> Path:
    log = run.cwd / "home/logs" / f"0123abcd-{stamp}.log"
    log.parent.mkdir(exist_ok=True)
    log.write_text(text)
    return log


def test_a_run_s_is_snakemake_s_newest_that_names_it(
    run: Made, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    snakemake_log(run, "2026-01-02T030405.1", f"old {run.path.name}\n")
    mine = snakemake_log(run, "2026-01-03T030405.1", f"new {run.path.name}\n")
    snakemake_log(run, "2026-01-04T030405.1", "of another run\n")
    monkeypatch.chdir("/")
    said = snakeval(capsys, "logs", "01")
    assert said.out == f"new {run.path.name}\n"
    assert said.err.startswith(f"0123abcd: {mine}\nothers: ")
    assert "an evaluation's: snakeval logs 0123abcd/MODEL/BENCHMARK" in said.err


def test_a_detached_run_s_log_is_preferred_to_snakemake_s_of_the_same_start(
    run: Made, capsys: Capture
) -> None:
    snakemake_log(run, "2026-01-02T030405.1", f"foreground {run.path.name}\n")
    detached_log(run, "2026-01-03-03-04-05", f"detached {run.path.name}\n")
    snakemake_log(run, "2026-01-03T030407.1", f"its complete one {run.path.name}\n")
    assert snakeval(capsys, "logs", "01").out.startswith("detached")
    snakemake_log(run, "2026-01-04T030405.1", f"again in the foreground {run.path.name}\n")
    assert snakeval(capsys, "logs", "01").out.startswith("again in the foreground")


def test_a_run_without_one_says_where_others_are(run: Made, capsys: Capture) -> None:
    said = snakeval(capsys, "logs", "01")
    assert said.exit_code == 2
    assert f"0123abcd: has no log in {run.cwd}/.snakemake/log" in said.err


def test_a_run_s_is_followed_until_its_last_words(
    run: Made, capsys: Capture, meanwhile: Meanwhile
) -> None:
    log = snakemake_log(run, "2026-01-02T030405.1", f"begins {run.path.name}\n")
    enter(run.directory, ["snakemake"])

    def end() -> None:
        leave(run.directory)
        with log.open("a") as file:
            file.write("the table\n")

    meanwhile(end)
    said = snakeval(capsys, "logs", "01", "-f")
    assert said.out.endswith("the table\n")
    assert said.err.endswith("0123abcd: nothing runs\n")


@pytest.mark.parametrize("length", [0, 1, 7, 100_000])
@pytest.mark.parametrize("end", ["", "\n"])
def test_the_last_lines_begin_where_they_do(length: int, end: str) -> None:
    lines = [str(number) * (number % 97) for number in range(length)]
    text = "\n".join(lines) + end
    whole = text.splitlines(keepends=True)
    for count in (1, 2, 5000):
        start = log_start(io.BytesIO(text.encode()), count)
        assert text[start:] == "".join(whole[-count:])


# --- for programs -------------------------------------------------------------------------------


def test_programs_get_the_last_lines_of_each_file(run: Made, capsys: Capture) -> None:
    log = run.begun("b", "one\ntwo\nthree\n").newest_log()
    data = json.loads(snakeval(capsys, "logs", "01/m/b", "--json", "-n", "2").out)
    assert data == {
        "target": "0123abcd/m/b",
        "files": [{"path": str(log), "lines": ["two", "three"]}],
    }
    assert snakeval(capsys, "logs", "01/m/b", "--json", "--follow").exit_code == 2
