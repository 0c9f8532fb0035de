"""``snakeval kill``: stops a run or an evaluation, and looks whether it has."""

from __future__ import annotations

import click

from snakeval.cli.output import emit, json_switch, note, wants_json
from snakeval.run import target
from snakeval.run.target import Target
from snakeval.watch.state import State

FAILED = 1


@click.command("kill", short_help="Stop a run, or one evaluation; finished evaluations stay")
@click.argument("which", metavar="ID[/MODEL/BENCHMARK]", shell_complete=target.complete)
@json_switch
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
    from snakeval.watch.stop import kill

    killed = kill(found, note if wants_json() else click.echo)
    if wants_json():
        emit(
            {
                "target": found.name,
                "was_running": killed.was_any,
                "left": killed.left,
                "evaluations": {state.id: state.state for state in killed.after},
            }
        )
        return FAILED if killed.left else 0
    for text in killed.left:
        click.echo(f"snakeval: left: {text}", err=True)
    click.echo(_summary(found, killed.after, killed.was_any, bool(killed.left)))
    return FAILED if killed.left else 0


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
