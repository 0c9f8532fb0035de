"""``snakeval kill``: stops a run or an evaluation, and looks whether it has."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import click

from snakeval.run import heads as index
from snakeval.run import target
from snakeval.run.target import Target
from snakeval.watch.state import State, states

FAILED = 1


@click.command("kill", short_help="Stop a run, or one evaluation; finished evaluations stay")
@click.argument("which", metavar="ID[/MODEL/BENCHMARK]", shell_complete=target.complete)
def command(which: str) -> int:
    """Stop a run: Snakemake, its jobs, containers and model servers, here and in its executor.

    With ID/MODEL/BENCHMARK, stop one evaluation; the others continue. Finished evaluations stay.
    Run the run again to resume the stopped ones. If something still runs in the end, the command
    lists it and the exit code is 1.

    \b
    snakeval kill 8b1a
    snakeval kill 8b1a/llama/ifeval
    """
    found = target.find(which)
    if found.model and not found.benchmark:
        raise click.UsageError(
            f"{which}: name one evaluation, {which}/BENCHMARK, or the run, {found.entry.id}"
        )
    from snakeval.watch.stop import stop

    before = states(found.run, only=found.covers)
    evaluation = f"{found.model}/{found.benchmark}" if found.benchmark else None
    stopped = stop(found.run, evaluation, click.echo)
    after = states(found.run, only=found.covers)
    left = [*stopped.left, *_elsewhere(found, after), *_unseen(before, stopped.silent)]
    for text in left:
        click.echo(f"snakeval: left: {text}", err=True)
    click.echo(_summary(found, after, stopped.was_any, bool(left)))
    return FAILED if left else 0


def _elsewhere(which: Target, after: list[State]) -> Iterator[str]:
    """Yield what runs on other hosts, and what cannot be known."""
    heads = [] if which.benchmark else index.heads(which.run)
    for head in heads:
        if head.lives is None:
            yield (
                f"Snakemake on {head.host} (process {head.pid}): give the same command there, or "
                f"remove {which.run.head_file(head.host, head.pid)} if it is gone"
            )
    here = socket.gethostname()
    for state in after:
        if state.active and state.host not in ("", here):
            yield f"the job of {state.id} on {state.host} (process {state.pid})"
        elif state.state == "unknown":
            yield f"{state.id}, perhaps: {state.reason}"


def _unseen(before: list[State], silent: set[str]) -> Iterator[str]:
    for state in before:
        if state.runtime in silent and (state.active or state.state == "interrupted"):
            yield f"container {state.container} of {state.id}, perhaps: {state.runtime} is silent"


def _summary(which: Target, after: list[State], was_any: bool, is_left: bool) -> str:
    again = f"`snakeval resume {which.entry.id}` does the rest"
    if which.benchmark:
        state = after[0].state
        if was_any:
            rest = "" if state in ("done", "failed") else f"; {again}"
            return f"{which.name}: {state}{rest}"
        return f"{which.name}: nothing to stop, it is {state}"
    evaluations = [state for state in after if state.state != "skipped"]
    done = sum(state.state == "done" for state in evaluations)
    happened = "not all is stopped" if is_left else "stopped" if was_any else "nothing to stop"
    rest = "" if is_left or done == len(evaluations) else f"; {again}"
    return f"Run {which.name}: {happened}, {done} of {len(evaluations)} done{rest}"
