"""The command ``snakeval``: composes configurations and runs Snakemake, and looks at runs.

A command is a module of this package with a function ``command``; it is imported when it is used,
so that ``snakeval --help`` is quick.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from snakeval import __version__
from snakeval.errors import ConfigError, Interrupted, Problem, did_you_mean
from snakeval.ledger.plain_text import visible, without_tokens

#: Exit codes: 0 done, 1 some evaluations failed, and these.
BAD_INPUT, INTERRUPTED = 2, 130

_COMMANDS = {
    "run": "Run the evaluations of a configuration; the same command resumes them",
    "follow": "Evaluate the checkpoints of a training as they become ready",
    "eval": "Score an endpoint on benchmarks without a configuration file",
    "resume": "Resume an unfinished run, from any directory",
    "rescore": "Score the stored answers of a finished run again; no model is asked",
    "status": "Show how far runs are",
    "logs": "Print the log of a run, a model's server or an evaluation",
    "requests": "List the requests of an evaluation and their answers",
    "kill": "Stop a run, or one evaluation; finished evaluations stay",
    "results": "Print the results table of one run, or of several side by side",
    "report": "Build the report of a run, a page for a browser",
    "curve": "Draw the scores of the checkpoints of a training",
    "compare": "Compare a candidate's run with a baseline's; the exit code is a gate",
    "verify": "Check that a run's files have not changed since it finished",
    "clean": "Remove stored requests and failed attempts of finished evaluations",
    "export": "Write a run's results as files, or send them to a service",
    "ls": "List tasks, models, runs, runtimes and profiles",
    "info": "Show a task's parameters, endpoint types and image",
    "init": "Write a commented configuration that runs",
    "doctor": "Check engine, disk, credentials and versions, and suggest fixes",
    "profiles": "Link the profiles, so that `snakemake --profile local` finds them",
    "cache": "List or remove environments, images and data that snakeval keeps",
    "completion": "Print the completion script of a shell",
    "help": "Print the help of a command",
}


class _Commands(click.Group):
    """Knows its commands by name and imports only the one that is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        found: click.Command = importlib.import_module(f"snakeval.cli.{cmd_name}").command
        from snakeval.cli.output import add_global_options

        return add_global_options(found)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            hint = did_you_mean(args[0], _COMMANDS)
            raise click.UsageError(f"no command '{args[0]}'{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="snakeval %(version)s")
def app() -> None:
    """Evaluate any LLM on any benchmark, anywhere, and never lose a finished result.

    \b
    snakeval eval --base-url http://localhost:8000/v1 --model-id my-model -t gsm8k --limit 10
    snakeval init --base-url http://localhost:8000/v1 --model-id my-model -t gsm8k
    snakeval run evaluation.yaml --dry-run
    snakeval run evaluation.yaml --limit 10
    snakeval status
    """


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        code = app.main(arguments, prog_name="snakeval", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        if error.ctx and error.message.startswith("Usage: "):  # the help, where words are missing
            click.echo(error.format_message(), err=True)
            return BAD_INPUT
        where = error.ctx.command_path if error.ctx else "snakeval"
        message = str(Problem(error.format_message()))
        if _asks_json(words):
            return _fail_as_json([Problem(message, hint=f"see `{where} --help`")])
        click.echo(f"snakeval: {message} (see `{where} --help`)", err=True)
        return BAD_INPUT
    except click.ClickException as error:
        return _fail(words, [Problem(error.format_message())])
    except ConfigError as error:
        return _fail(words, error.problems)
    except (KeyboardInterrupt, click.Abort, Interrupted):
        if _asks_json(words):
            return _fail_as_json([Problem("interrupted")], INTERRUPTED)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) has closed the pipe. Nothing may be flushed to it at the end.
        sys.stdout = None
        return 0


def _asks_json(words: Sequence[str]) -> bool:
    """Whether ``--json`` is among snakeval's own options; those after ``--`` are Snakemake's."""
    own = words[: words.index("--")] if "--" in words else words
    return "--json" in own


def _fail(words: Sequence[str], problems: Sequence[Problem]) -> int:
    """Print what is wrong with the input: for people, or as one object if *words* ask for JSON."""
    if _asks_json(words):
        return _fail_as_json(problems)
    for problem in problems:
        click.echo(f"snakeval: {problem}", err=True)
    return BAD_INPUT


def _fail_as_json(problems: Sequence[Problem], code: int = BAD_INPUT) -> int:
    from snakeval.cli.output import emit

    first, *others = [
        {
            "problem": without_tokens(visible(each.problem)),
            "place": without_tokens(visible(each.where)),
            "hint": without_tokens(visible(each.hint)),
        }
        for each in problems or [Problem("")]
    ]
    emit({**first, "exit_code": code, "others": others})
    return code
