"""The option ``--budget`` of ``run`` and ``resume``, which is ``--config budget=…``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

#: Takes the budget of the configuration away.
NONE = "none"

budget_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--budget",
    "budget",
    multiple=True,
    metavar="KIND=AMOUNT",
    help="Stop the run when it has spent this: money, tokens, requests, or wall (such as 4h). "
    "none removes the budget of the configuration.",
)


def budget_pair(given: Sequence[str]) -> list[str]:
    """Return the pair of ``--config`` that the option is; nothing without the option.

    >>> budget_pair(["tokens=1e6", "wall=4h,requests=10"]), budget_pair(["none"]), budget_pair([])
    (['budget={tokens: 1e6, wall: 4h, requests: 10}'], ['budget=none'], [])
    """
    words = [word.strip() for text in given for word in text.split(",") if word.strip()]
    if not words:
        return []
    if words == [NONE]:
        return [f"budget={NONE}"]
    for word in words:
        kind, equals, amount = word.partition("=")
        if not (kind.isalpha() and equals and amount.replace(":", "").replace(".", "").isalnum()):
            raise click.BadParameter(
                f"{word[:60]} is no kind with an amount; write tokens=1000000, money=5, "
                "requests=1000 or wall=4h",
                param_hint="--budget",
            )
    return [f"budget={{{', '.join(word.replace('=', ': ', 1) for word in words)}}}"]
