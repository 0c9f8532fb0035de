"""Explains why a model server ended, by its exit code and its log."""

from __future__ import annotations

from pathlib import Path

from snakeval.ledger.plain_text import shortened
from snakeval.logs import last_error, without_shell
from snakeval.runtimes import Outcome
from snakeval.serving.deployment import Deployment
from snakeval.serving.log_cause import cause, died, points_elsewhere
from snakeval.serving.log_hints import hint_for

#: The longest reason, in characters.
_LONGEST = 300
#: How much of a cause may say what to change.
_WHOLE = 2000


def why_ended(deployment: Deployment, outcome: Outcome, log: Path, *, was_ready: bool) -> str:
    """Return the reason of an end that snakeval did not ask for."""
    limit = deployment.serving.mem_mb
    if outcome.out_of_memory:
        fix = f"raise deployment.mem_mb (now {limit})" if limit else "give it more memory"
        return f"out of memory: the kernel killed the server; {fix}"
    if no_shell := without_shell(deployment.definition.image, log):
        return no_shell
    code = outcome.exit_code
    how = {
        127: "the server's command was not found (exit code 127)",
        137: "the server was killed (SIGKILL)",
    }.get(code, f"the server ended with exit code {code}")
    when = "" if was_ready else " before it was ready"
    has_cause = not points_elsewhere(cause(log))
    if code not in (127, 137) and died(log) and (code == 0 or not has_cause):
        # A server whose engine is killed may end in good order.
        how = f"a process of the server died, perhaps killed for want of memory, and {how}"
        if not has_cause:
            return f"{how}{when}"
    return with_cause(f"{how}{when}", log)


def with_cause(what: str, log: Path) -> str:
    """Return *what* happened to a server with the cause in its log, in at most 300 characters."""
    if why := cause(log, _WHOLE):
        hint = f"; {advice}" if (advice := hint_for(why)) else ""
        room = _LONGEST - len(what) - len(": ") - len(hint)
        short = shortened(why, room)
        return f"{what}: {short.rstrip('.') if hint else short}{hint}"
    left = _LONGEST - len(what) - len("; its log ends: ")
    said = shortened(last_error(log), left)
    return f"{what}{'; its log ends: ' + said if said else ''}"
