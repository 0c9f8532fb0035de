"""The reason of an evaluation whose journals lacked answers while they alone answered."""

from __future__ import annotations

from collections.abc import Callable

from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.requests import misses
from snakeval.run.directory import RunDirectory

#: The longest reason, in characters.
_LONGEST = 300


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
    run = RunDirectory.of(directory)
    hint = f"; `snakeval resume {run.id} -- --config ask=true` asks" if run.rescore.exists() else ""
    many = f"{'at least ' if exit_code else ''}{count} request{': ' if count == 1 else 's, first '}"
    reason = f"offline, and the journal has no answer to {many}{named[0]}"
    room = _LONGEST - len(hint)
    return (reason if len(reason) <= room else f"{reason[: room - 1]}…") + hint
