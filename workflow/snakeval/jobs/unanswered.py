"""The reason of an evaluation whose journals lacked answers while they alone answered."""

from __future__ import annotations

from collections.abc import Callable

from snakeval.config.health_rules import AGAIN
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.requests import misses
from snakeval.run.directory import RunDirectory

#: The longest reason, in characters.
_LONGEST = 300


def how_to_ask(directory: EvaluationDirectory) -> str:
    """Return how to ask the models of an evaluation that the journals alone answered."""
    run = RunDirectory.of(directory)
    more = " -- --config ask=true" if run.rescore.exists() else ""
    return f"`snakeval resume {run.id}{more}` asks the model"


def how_to_resume(directory: EvaluationDirectory) -> str:
    """Return what resumes the run of an evaluation: the command of a re-score makes another one."""
    run = RunDirectory.of(directory)
    return f"`snakeval resume {run.id}`" if run.rescore.exists() else "the same command"


def how_again(evaluation: Evaluation, directory: EvaluationDirectory, model: str) -> str:
    """Return what requests again the answers of *model* that are missing."""
    if not evaluation.transport.asks(model):
        return how_to_ask(directory)
    run = RunDirectory.of(directory)
    # The command of a re-score makes another run.
    is_rescore = run.rescore.exists()
    return f"`snakeval resume {run.id}` requests them again" if is_rescore else AGAIN


def why_unanswered(
    evaluation: Evaluation,
    directory: EvaluationDirectory,
    say: Callable[[str], None],
    exit_code: int = 0,
) -> str:
    """Return why the results do not count, or nothing; *say* takes a line for each request.

    Some harnesses count a request without an answer as a wrong one. Others end at the first with a
    non-zero *exit_code*, so there may be more.
    """
    if not evaluation.transport.offline:
        return ""
    count, named = misses(directory)
    if not named:
        return ""
    for each in named:
        say(f"not in the journal: {each}")
    hint = f"; {how_to_ask(directory)}"
    many = f"{'at least ' if exit_code else ''}{count} request{': ' if count == 1 else 's, first '}"
    reason = f"offline, and the journal has no answer to {many}{named[0]}"
    room = _LONGEST - len(hint)
    return (reason if len(reason) <= room else f"{reason[: room - 1]}…") + hint
