"""Decides how the ledger's gateway of an evaluation works. None of it changes a score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from snakeval.errors import ConfigError
from snakeval.evaluation.definition import Evaluation, Transport

if TYPE_CHECKING:  # jobs import this module, and its import takes longer than all of theirs
    from snakeval.config.config import Config

#: The requests in flight of an adaptive evaluation that asks without a gateway.
_FIXED = 4
#: Those of an adaptive one at its start, and at most, for endpoints that snakeval does not serve.
START, CEILING = 8, 64
#: Its ceiling for those that snakeval serves.
SERVED_CEILING = 256
#: The values of ``ledger``; each keeps less than the one before.
_MODES = ("", "on", "memory", "off")


def ledger_mode(run: str, *own: str) -> str:
    """Return what ``ledger`` is for an evaluation: the strictest of its *own*, or the run's.

    >>> ledger_mode("off", "", "on"), ledger_mode("on", "memory", "on"), ledger_mode("on", "")
    ('on', 'memory', 'on')
    """
    return max(own, key=_MODES.index) or run


def require_gateway(mode: str, model: str, changes: Mapping[str, Any], url: str) -> None:
    """Check that there is a gateway for what only a gateway can do for *model*, as ``models.x``.

    It makes *changes* to requests, and asks a *url* that names a Unix socket.

    Raises:
        ConfigError: *mode* has no gateway.
    """
    if mode == "off" and "+unix://" in url:
        raise ConfigError(
            "names a Unix socket, which only the ledger's gateway can ask",
            where=f"{model}.endpoint.url",
            hint="set ledger: on or memory",
        )
    if changes and mode == "off":
        raise ConfigError(
            "requires the ledger's gateway, which changes the requests",
            where=f"{model}.endpoint.request",
            hint="remove it, or set ledger: on",
        )


def transport_of(
    parallelism: int | str, modes: Sequence[str], limits: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """Return the fields of a transport that are about the gateway.

    *modes* are values of ``ledger``: the run's, and those of the benchmark and of the models that
    it asks. *limits* has those of each model's endpoint.
    """
    is_adaptive = parallelism == "auto"
    return {
        "parallelism": _FIXED if is_adaptive else parallelism,
        "is_adaptive": is_adaptive,
        "ledger": ledger_mode(*modes),
        "limits": {name: stated for name, stated in limits.items() if stated},
    }


def paid_by(config: Config, names: Iterable[str]) -> dict[str, Any]:
    """Return the fields of a transport that are about money: prices of models, and the budget."""
    models = {**config.auxiliary, **config.models}
    prices = {
        name: given.model_dump(exclude_none=True)
        for name in names
        if (given := models[name].prices) is not None
    }
    return {"prices": prices, "budget": config.budget.limits if config.budget else {}}


def window(
    transport: Transport, limits: Mapping[str, float], is_adaptive: bool, *, is_served: bool
) -> tuple[int, int]:
    """Return how many requests are in flight at the start, and at most.

    All evaluations that may ask the endpoint at once share what it allows.
    """
    share = max(1, transport.rivals)
    start, ceiling = transport.parallelism, transport.parallelism
    if is_adaptive:
        start = max(1, START // share)
        ceiling = max(1, (SERVED_CEILING if is_served else CEILING) // share)
    if stated := limits.get("concurrency"):
        ceiling = min(ceiling, max(1, int(stated) // share))
    return min(start, ceiling), ceiling


def idle_keys(evaluation: Evaluation) -> frozenset[str]:
    """Return the variables of keys that nothing needs: journals answer for their models."""
    transport = evaluation.transport
    keys = {evaluation.model: transport.api_key_name, **transport.auxiliary_keys}
    needed = {key for name, key in keys.items() if transport.asks(name)}
    return frozenset(keys.values()) - needed - {""}
