"""Runs the ledger's gateway beside a harness, between it and the models that it asks.

The gateway asks the models with their keys, and the harness gets a token for one attempt. If the
gateway dies, the harness ends with it and the attempt repeats. If the harness or this job dies, the
gateway finishes the requests under way and keeps their answers.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

from snakeval.errors import EvaluationError, Interrupted
from snakeval.evaluation.definition import Evaluation, Transport
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.requests import answer_identity, models_of
from snakeval.harnesses import adapter
from snakeval.harnesses.generic import asks_nothing
from snakeval.jobs import budget
from snakeval.jobs.stored_answers import prepare_answers
from snakeval.ledger import beside
from snakeval.ledger.beside import Gateway
from snakeval.matrix.ledger import idle_keys, window
from snakeval.runtimes import Runtime

#: Seconds for which requests under way may continue when a job ends.
GRACE_SECONDS = 45.0
#: The same in a Slurm job, which is killed 30 s after its signal (``KillWait``).
_SLURM_GRACE_SECONDS = 20.0
#: How long the gateway waits out HTTP 429 and 503, in seconds.
_PATIENCE = 3600.0
#: How long the gateway waits for a server that the pool starts again, in seconds.
_RESTART_SECONDS = 86400.0
#: Begins the names of variables that pass a key which the benchmark's ``env`` hands out.
_HANDED_OUT = "SNAKEVAL_ENV_"


@dataclass(slots=True)
class Asked:
    """How a harness asks its models through a gateway.

    Attributes:
        urls: the URL of each model as the harness reaches it, by the model's name.
        slots: how many requests the harness may have in flight.
        halt: ends the harness: the job stops, or the gateway is dead.
        environ: this process's variables, with the token in place of each key.
        handed_out: variable of ``env`` here -> the variable of ``environ`` that has its value.
        why_dead: why the gateway ended, if it did.
    """

    urls: Mapping[str, str]
    slots: int
    halt: Event
    environ: Mapping[str, str]
    handed_out: Mapping[str, str]
    gateway: Gateway
    why_dead: str = ""

    def move(self, model: str, url: str) -> None:
        """Ask *model* at another URL from now on: its server has started again."""
        with contextlib.suppress(OSError):  # the gateway is dead, which its watcher reports
            self.gateway.move(model, url)


@contextlib.contextmanager
def ask_through_gateway(
    evaluation: Evaluation,
    directory: EvaluationDirectory,
    runtime: Runtime,
    served: Mapping[str, str],
    ending: Event,
    lost: Callable[[str], None] = lambda reason: None,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Asked | None]:
    """Run a gateway in the context, which all models of *evaluation* are asked through.

    Yields None if the configuration wants no gateway, or the harness asks no model. *served* has
    the URLs of the models that snakeval serves. *ending* ends the harness and lets the gateway
    drain. *lost* is called in a thread if the gateway dies. *say* takes a line for the log.

    Raises:
        EvaluationError: the gateway cannot start, or no journal can answer offline.
        Interrupted: *ending* was set while an earlier gateway drained.
    """
    transport = evaluation.transport
    _require_journal(transport)
    if transport.ledger == "off" or asks_nothing(evaluation):
        yield None
        return
    prepare_answers(evaluation, directory, pausing(ending), say)
    running = run_gateway(
        evaluation,
        directory.requests,
        upstreams(evaluation, served),
        runtime,
        ending,
        lost,
        **_options(evaluation, directory, served),
    )
    with running as asked:
        yield asked


@contextlib.contextmanager
def run_gateway(
    evaluation: Evaluation,
    requests: Path,
    asks: Mapping[str, Mapping[str, Any]],
    runtime: Runtime,
    ending: Event,
    lost: Callable[[str], None] = lambda reason: None,
    **options: Any,
) -> Iterator[Asked]:
    """Run a gateway in the context, with its journals and counts in *requests*.

    *asks* are its upstreams by name. *ending* and *lost* are as in :func:`ask_through_gateway`, and
    *options* those of the gateway's process.

    Raises:
        EvaluationError: the gateway cannot start.
        Interrupted: *ending* was set while an earlier gateway drained.
    """
    halt, left = Event(), Event()
    found: list[Asked] = []

    def die(reason: str) -> None:
        if found and not ending.is_set():
            found[0].why_dead = reason
            lost(reason)
        halt.set()

    running = beside.beside(
        requests,
        asks,
        die,
        address=_address(runtime, evaluation.transport.network),
        grace=_SLURM_GRACE_SECONDS if os.environ.get("SLURM_JOB_ID") else GRACE_SECONDS,
        pause=pausing(ending),
        **options,
    )
    try:
        with running as gateway:
            environ, handed_out = without_keys(evaluation, os.environ, gateway.token)
            asked = Asked(gateway.urls, slots(evaluation), halt, environ, handed_out, gateway)
            found.append(asked)
            Thread(target=_pass_on, args=(ending, left, asked), daemon=True).start()
            try:
                yield asked
            finally:
                left.set()
    except beside.NotStarted as error:
        raise EvaluationError(f"the ledger's gateway does not start: {error}") from None


def pausing(ending: Event) -> Callable[[float], None]:
    """Return a pause that raises :class:`Interrupted` if *ending* is set meanwhile."""

    def wait(seconds: float) -> None:
        if ending.wait(seconds):
            raise Interrupted

    return wait


def _options(
    evaluation: Evaluation, directory: EvaluationDirectory, served: Mapping[str, str]
) -> dict[str, Any]:
    """Return the options of the whole gateway."""
    transport = evaluation.transport
    paid = budget.options_of(evaluation, directory, served)
    return {"mode": transport.ledger, "budget": paid}


def _require_journal(transport: Transport) -> None:
    if transport.offline and transport.ledger != "on":
        raise EvaluationError(
            f"no journal can answer, since its ledger is {transport.ledger}",
            hint="run it without --offline",
        )


def _pass_on(ending: Event, left: Event, asked: Asked) -> None:
    """End the harness and the gateway side by side when *ending* is set: time may be short."""
    while not left.wait(0.1):
        if ending.is_set():
            asked.halt.set()
            asked.gateway.begin_drain()
            return


def _address(runtime: Runtime, network: str) -> str:
    """Return the address that the gateway listens on."""
    is_bridged = runtime.isolated and network == "bridge"
    return bridge_address(runtime) if is_bridged else "127.0.0.1"


def bridge_address(runtime: Runtime) -> str:
    """Return the address at which bridged containers of *runtime* reach this machine.

    Raises:
        EvaluationError: the runtime does not know it.
    """
    known: Callable[[], str] | None = getattr(runtime, "bridge_address", None)
    if known is None:
        raise EvaluationError(
            f"runtime {runtime.name} does not say where its bridge is; set network: host, or "
            "ledger: off"
        )
    return known()


def upstreams(evaluation: Evaluation, served: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the options of each model that *evaluation* asks, for the gateway."""
    transport = evaluation.transport
    asked = models_of(evaluation)
    keys = {evaluation.model: transport.api_key_name, **transport.auxiliary_keys}
    exact = bool(getattr(adapter(evaluation.identity.adapter), "EXACT", False))
    found = {}
    for name, what in asked.items():
        limits = transport.limits.get(name) or {}
        # The harness's parallelism says nothing of how many requests a judge receives.
        is_adaptive = transport.is_adaptive or name != evaluation.model
        start, ceiling = window(transport, limits, is_adaptive, is_served=name in served)
        found[name] = {
            "url": served.get(name, what["endpoint_url"]),
            "identity": answer_identity(what),
            "key": os.environ.get(keys.get(name) or "", ""),
            "timeout": transport.request_timeout,
            "tries": transport.max_retries + 1,
            "served": name in served,
            "exact": exact,
            "request": what.get("request") or {},
            "offline": not transport.asks(name),
            "start": start,
            "ceiling": ceiling,
            **{
                key: value / transport.rivals
                for key in ("requests_per_minute", "tokens_per_minute")
                if (value := limits.get(key))
            },
            "prices": transport.prices.get(name) or {},
            "deadline": _RESTART_SECONDS if name in served else limits.get("patience", _PATIENCE),
        }
    return found


def slots(evaluation: Evaluation) -> int:
    """Return how many requests the harness may have in flight at its gateway."""
    transport, is_served = evaluation.transport, bool(evaluation.identity.deployment)
    limits = transport.limits.get(evaluation.model) or {}
    return window(transport, limits, transport.is_adaptive, is_served=is_served)[1]


def without_keys(
    evaluation: Evaluation, environ: Mapping[str, str], token: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Return *environ* with *token* in place of each key, and the aliases of ``env``.

    The benchmark's ``env`` may hand out a variable that is also the key of a model. The harness
    then gets its value from an alias. Keys that nothing needs may be unset, and harnesses still
    look for them.
    """
    transport = evaluation.transport
    keys = {transport.api_key_name, *transport.auxiliary_keys.values()} - {""}
    given = {**environ, **dict.fromkeys((keys & environ.keys()) | idle_keys(evaluation), token)}
    aliases = {}
    for name in keys & set(transport.env.values()) & environ.keys():
        aliases[name] = f"{_HANDED_OUT}{name}"
        given[aliases[name]] = environ[name]
    return given, aliases
