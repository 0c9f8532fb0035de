"""Prepares the stored answers of an evaluation before its harness runs.

Answers of other runs come in, and those that a command wants to request again go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from snakeval.config.health_rules import FAIL, thresholds
from snakeval.errors import EvaluationError
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.requests import answer_identity, models_of, repair, summary_parts
from snakeval.files import write_if_changed
from snakeval.ledger import summary
from snakeval.ledger.summary import folder_of
from snakeval.run.directory import RunDirectory


def _note(directory: EvaluationDirectory) -> Path:
    """The file with the id of the command whose wish was fulfilled last."""
    return directory.requests / "asked-again"


def _stale_note(directory: EvaluationDirectory) -> Path:
    """The file with the models whose stored answers may be of other weights."""
    return directory.requests / "stale"


def _wish(evaluation: Evaluation) -> tuple[str, str]:
    """Return which answers a command wants dropped, and its id; nothing if it wants none."""
    if evaluation.transport.ledger != "on":
        return "", ""
    which, _, command = evaluation.transport.ask_again.partition(" ")
    return which, command


def asks_again(evaluation: Evaluation, directory: EvaluationDirectory) -> bool:
    """Whether the command wants stored answers dropped, and no attempt of it has done that yet."""
    which, command = _wish(evaluation)
    note = _note(directory)
    return bool(which) and not (
        note.exists() and note.read_text(encoding="utf-8").strip() == command
    )


def note_stale(directory: EvaluationDirectory, models: Iterable[str]) -> None:
    """Note that the stored answers of *models* may be of other weights, so that none is replayed.

    Raises:
        OSError: the note cannot be written.
    """
    directory.requests.mkdir(parents=True, exist_ok=True)
    write_if_changed(_stale_note(directory), "".join(f"{name}\n" for name in models))


def _stale(directory: EvaluationDirectory) -> frozenset[str]:
    try:
        return frozenset(_stale_note(directory).read_text(encoding="utf-8").splitlines())
    except FileNotFoundError:
        return frozenset()


def prepare_answers(
    evaluation: Evaluation,
    directory: EvaluationDirectory,
    wait: Callable[[float], None],
    say: Callable[[str], None],
) -> None:
    """Repair the files of the requests, copy the answers of other runs, and drop some answers.

    The command wants to request some of them again, once for each command. Others are of another
    model, for which the health of the last attempt failed, or of a server with other weights. An
    earlier gateway, which drains, has ended before any file changes; *wait* sleeps until then.

    Raises:
        EvaluationError: a journal cannot be read or written.
    """
    transport = evaluation.transport
    repair(directory, [evaluation.model, *evaluation.identity.auxiliary])
    borrows = bool(transport.answers) and transport.ledger == "on"
    drops = asks_again(evaluation, directory) or bool(transport.keep or _stale(directory))
    if not (borrows or drops):
        return
    try:
        summary.wait_for_end(directory.requests / "gateway", wait)
    except OSError as error:
        raise EvaluationError(f"{directory.requests}: cannot be read ({error})") from None
    if borrows:
        _borrow(evaluation, directory, say)
    if drops:
        _drop_answers(evaluation, directory, say)


def _borrow(
    evaluation: Evaluation, directory: EvaluationDirectory, say: Callable[[str], None]
) -> None:
    """Copy the answers that other runs have of this evaluation's models, once."""
    # Here, because hardly any job needs it: asyncio takes a tenth of a job's start.
    from snakeval.ledger.borrowed import borrow

    answers = evaluation.transport.answers
    runs = [RunDirectory(path).evaluation(evaluation.id).requests for path in answers]
    count = 0
    try:
        for name, model in models_of(evaluation).items():
            lenders = [folder_of(requests, name) for requests in runs]
            folder = folder_of(directory.requests, name)
            count += borrow(folder, answer_identity(model), lenders)
    except (OSError, ValueError) as error:
        raise EvaluationError(f"the answers of other runs cannot be copied ({error})") from None
    if count:
        say(f"copied {count} stored answers of other runs")


def _drop_answers(
    evaluation: Evaluation, directory: EvaluationDirectory, say: Callable[[str], None]
) -> None:
    # Here, because hardly any job needs it: asyncio takes a tenth of a job's start.
    from snakeval.ledger import reading
    from snakeval.ledger.journal import JournalError

    which, command = _wish(evaluation)
    wanted = asks_again(evaluation, directory)
    try:
        if stale := _stale(directory):
            count = reading.drop_where(directory.requests, lambda one: one.upstream in stale)
            say(f"requests {count} stored answers again, since their server had other weights")
            _stale_note(directory).unlink()
        if evaluation.transport.keep and (count := _drop_others(evaluation, directory)):
            say(f"requests {count} stored answers again, which name another model")
        if wanted:
            count = _drop(evaluation, directory, which)
            say(f"requests {count} stored answers again ({which})")
    except (OSError, ValueError, JournalError) as error:
        raise EvaluationError(f"{directory.requests}: no answer can be dropped ({error})") from None
    if wanted:
        write_if_changed(_note(directory), f"{command}\n")


def _drop(evaluation: Evaluation, directory: EvaluationDirectory, which: str) -> int:
    from snakeval.ledger import reading

    cut_fails = FAIL in thresholds(evaluation.transport.health, "cut")
    if which != reading.UNHEALTHY or not cut_fails:
        return reading.drop(directory.requests, which)
    return reading.drop_where(directory.requests, lambda one: not one.is_healthy or one.is_cut)


def _drop_others(evaluation: Evaluation, directory: EvaluationDirectory) -> int:
    """Drop the answers of the last attempt's models that do not have the name that counts."""
    from snakeval.ledger import reading
    from snakeval.ledger.parts import name_in

    keep = evaluation.transport.keep
    identities = {name: part.get("identity") for name, part in summary_parts(directory).items()}

    def is_other(one: reading.Stored) -> bool:
        if one.upstream not in keep or one.identity != identities.get(one.upstream):
            return False
        return name_in(one.answer) not in ("", keep[one.upstream])

    return reading.drop_where(directory.requests, is_other)
