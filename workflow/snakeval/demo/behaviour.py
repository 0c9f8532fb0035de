"""Describes what the demo server serves and how it fails on purpose, and reads its options."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

from snakeval.demo.items import SLIP_PERCENT, rules_of

MODELS = tuple(SLIP_PERCENT)


@dataclass(frozen=True)
class Behaviour:
    """The settings of the demo server: its models, its delays and its failures.

    The server numbers model requests from 1 in order of arrival, also those that fail.

    Attributes:
        models: the models that it serves; a prefix as in `demo/careful` is allowed.
        load: seconds after the start in which it lists no models and answers requests with 503.
        delay: seconds before each answer.
        api_key: the key that a client must send, or None.
        fail_status: the HTTP status of a failure on purpose.
        fail_first: how many of the first requests fail.
        fail_every: every request whose number is a multiple of this one fails; 0 is none.
        fail_while: all requests fail while this file exists.
        die_after: the server crashes when the request after this number arrives.
        ledger: the file to which it appends what it loads and answers.
    """

    models: tuple[str, ...] = MODELS
    load: float = 0.0
    delay: float = 0.0
    api_key: str | None = field(default=None, repr=False)
    fail_status: int = 500
    fail_first: int = 0
    fail_every: int = 0
    fail_while: Path | None = None
    die_after: int | None = None
    ledger: Path | None = None

    def __post_init__(self) -> None:
        """Check that each model has rules, and that there is a model.

        Raises:
            ValueError: a model has no rules, or `models` is empty.
        """
        unknown = [model for model in self.models if rules_of(model) not in MODELS]
        if unknown or not self.models:
            raise ValueError(
                f"models must be among {', '.join(MODELS)}, not {', '.join(unknown) or 'empty'}"
            )

    def fails(self, number: int) -> bool:
        """Return whether the model request with this number fails on purpose."""
        if self.fail_while is not None and self.fail_while.exists():
            return True
        periodic = self.fail_every > 0 and number % self.fail_every == 0
        return periodic or number <= self.fail_first

    def dies(self, number: int) -> bool:
        """Return whether the model request with this number crashes the server."""
        return self.die_after is not None and number > self.die_after


def behaviour_of(options: argparse.Namespace, key: str | None) -> Behaviour:
    """Return the behaviour that the command line's options describe; *key* is the API key."""
    return Behaviour(
        models=tuple(options.models.split(",")),
        load=options.load,
        delay=options.delay,
        api_key=key,
        fail_status=options.fail_status,
        fail_first=options.fail_first,
        fail_every=options.fail_every,
        fail_while=options.fail_while,
        die_after=options.die_after,
        ledger=options.ledger,
    )


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of the server's command line."""
    parser = argparse.ArgumentParser(
        prog="python -m snakeval.demo.server",
        description="Serve rule-based demo models through an OpenAI-compatible API.",
    )
    option = parser.add_argument
    option("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    option("--port", type=int, default=0, help="port to listen on (default: 0, a free one)")
    option(
        "--models",
        default=",".join(MODELS),
        help="models to serve, optionally with a prefix, as demo/careful (default: %(default)s)",
    )
    option(
        "--load",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="answer 503 for this long after the start (default: %(default)s)",
    )
    option(
        "--delay",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="wait before each answer (default: %(default)s)",
    )
    option("--api-key-name", metavar="VAR", help="require the API key in this variable")
    option(
        "--fail-status",
        type=int,
        default=500,
        metavar="CODE",
        help="HTTP status of a failure (default: %(default)s)",
    )
    failing = parser.add_mutually_exclusive_group()
    failing.add_argument(
        "--fail-first", type=int, default=0, metavar="N", help="fail the first N requests"
    )
    failing.add_argument(
        "--fail-every", type=int, default=0, metavar="N", help="fail every N-th request"
    )
    option("--fail-while", type=Path, metavar="FILE", help="fail every request while FILE exists")
    option("--die-after", type=int, metavar="N", help="crash after N requests")
    option("--ledger", type=Path, metavar="FILE", help="append loads and answers to FILE as JSON")
    return parser
