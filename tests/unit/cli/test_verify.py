"""`snakeval verify`: what was changed after the fact."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from snakeval.files import sealed
from snakeval.results import table
from support.made import snakeval
from support.sampled import Sampled

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sampled:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    files = tmp_path / "files"
    files.mkdir()
    (files / "prompt.txt").write_text("2 + 2?")
    made = Sampled(tmp_path, {"m": {"a": [1, 0], "b": [1, 1]}, "n": {}}, files=str(files))
    table.write(made.directory)
    return made


def test_an_untouched_run_passes(run: Sampled, capsys: Capture) -> None:
    said = snakeval(capsys, "verify", str(run.path))
    assert (said.exit_code, said.out) == (0, "")
    assert said.err == "2 of 4 evaluations are as they were; nothing was changed\n"


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def both_records(run: Sampled, old: str, new: str) -> None:
    """What somebody does who knows of the second one."""
    place = run["m/a"]
    replaced(place.published, old, new)
    replaced(place.record(run.evaluations["m/a"].fingerprint), old, new)


def forged(run: Sampled, old: str, new: str) -> None:
    """The same with a seal that fits."""
    both_records(run, old, new)
    place = run["m/a"]
    for path in (place.published, place.record(run.evaluations["m/a"].fingerprint)):
        data = json.loads(path.read_text())
        path.write_text(sealed(data))


def remove_records(run: Sampled) -> None:
    place = run["m/a"]
    place.published.unlink()
    place.record(run.evaluations["m/a"].fingerprint).unlink()


def leave_an_attempt(run: Sampled) -> None:
    """What a job leaves that was killed between two renames; the artifacts are equal."""
    place = run["m/a"]
    number = json.loads(place.published.read_text())["attempt"]
    own = place.attempts / str(number)
    (own / "artifacts").mkdir(parents=True)
    (own / "attempt.json").write_text(json.dumps({"number": number, "token": "t"}))


CHANGES: list[tuple[Callable[[Sampled], object], str]] = [
    (
        lambda run: replaced(run["m/a"].artifacts / "samples.jsonl", "0.0", "1.0"),
        "m/a changed artifacts/samples.jsonl has different content",
    ),
    (
        lambda run: (run["m/a"].artifacts / "f.json").unlink(),
        "m/a changed artifacts/f.json is gone",
    ),
    (
        lambda run: (run["m/a"].artifacts / "more").write_text(""),
        "m/a changed artifacts/more was added",
    ),
    (
        lambda run: replaced(run["m/a"].published, '"value": 0.5', '"value": 0.9'),
        "m/a changed its record evaluation.json is damaged (its content does not fit its seal)",
    ),
    (
        lambda run: both_records(run, '"value": 0.5', '"value": 0.9'),
        "m/a changed its record evaluation.json is damaged (its content does not fit its seal)",
    ),
    (
        lambda run: forged(run, '"value": 0.5', '"value": 0.9'),
        "m/a changed acc is 0.9 in the record, and 0.5 in the artifacts",
    ),
    (
        lambda run: forged(run, '"model_id": "m"', '"model_id": "x"'),
        "m/a changed its record's definition has the fingerprint",
    ),
    (
        lambda run: run["m/a"].record(run.evaluations["m/a"].fingerprint).write_text("{"),
        "is damaged",
    ),
    (lambda run: run["m/a"].published.unlink(), "m/a changed evaluation.json is gone"),
    (remove_records, "results.csv changed m/a: has a score, and no record"),
    (leave_an_attempt, "m/a changed artifacts/ are of another attempt"),
    (
        lambda run: replaced(run.path / "results.json", '"value": 0.5', '"value": 0.9'),
        "results.json changed m/a: acc is 0.9, and 0.5 in the record",
    ),
    (
        lambda run: replaced(run.path / "results.csv", ",0.5,", ",0.9,"),
        "results.csv changed m/a: acc is 0.9, and 0.5 in the record",
    ),
    (
        lambda run: replaced(run.path / "config.yaml", "model_id: m", "model_id: x"),
        "m/a changed different definition: model_id: 'm' → 'x'",
    ),
    (
        lambda run: replaced(run.path / "config.yaml", "name: named", "name: other"),
        "config.yaml changed its name and params are of another run",
    ),
    (
        lambda run: (run.path.parent / "files/prompt.txt").write_text("3 + 3?"),
        "m/a changed different definition: files changed",
    ),
]


@pytest.mark.parametrize(("change", "told"), CHANGES)
def test_every_change_is_reported(
    run: Sampled, capsys: Capture, change: Callable[[Sampled], object], told: str
) -> None:
    change(run)
    said = snakeval(capsys, "verify", str(run.path))
    assert said.exit_code == 1
    assert told in "\n".join(" ".join(line.split()) for line in said.out.splitlines())


def test_an_item_that_cannot_be_checked_is_listed_and_does_not_count_as_a_change(
    run: Sampled, capsys: Capture
) -> None:
    (run.path / "config.yaml").unlink()
    said = snakeval(capsys, "verify", str(run.path), "--json")
    assert said.exit_code == 0
    (finding,) = json.loads(said.out)
    assert (finding["where"], finding["state"]) == ("config.yaml", "not checked")


@pytest.mark.parametrize("text", [None, "{"])
def test_scores_are_read_again_by_the_record_if_the_definition_is_gone(
    run: Sampled, capsys: Capture, text: str | None
) -> None:
    for name in ("m/a", "m/b"):
        run[name].spec.unlink()
        if text is not None:
            run[name].spec.write_text(text)
    assert snakeval(capsys, "verify", str(run.path)).exit_code == 0
    forged(run, '"value": 0.5', '"value": 0.9')
    assert "acc is 0.9 in the record" in snakeval(capsys, "verify", str(run.path)).out


def test_a_name_of_an_artifact_controls_no_terminal(run: Sampled, capsys: Capture) -> None:
    """A harness chose the name: an escape sequence, a line break, or bytes that are no UTF-8."""
    names = [b"a\x1b[31m", b"b\nc", "d\u202e".encode(), b"e\xff"]
    for name in names:
        (run["m/b"].artifacts / os.fsdecode(name)).write_text("x")
    said = snakeval(capsys, "verify", str(run.path))
    found = sorted(line.split("artifacts/")[1].split(" ")[0] for line in said.out.splitlines()[1:])
    assert found == ["a‹U+001B›[31m", "b‹U+000A›c", "d‹U+202E›", "e‹U+DCFF›"]


def test_a_part_of_a_run_can_be_checked(run: Sampled, capsys: Capture) -> None:
    (run["m/a"].artifacts / "f.json").unlink()
    assert snakeval(capsys, "verify", f"{run.path}/m/b").exit_code == 0
    assert snakeval(capsys, "verify", f"{run.path}/m/a").exit_code == 1
