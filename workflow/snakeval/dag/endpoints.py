"""Asks the endpoints of a command before anything runs, all at once and each only once.

An endpoint that cannot answer any request stops the command. One that only fails now, such as with
429 or 503, is a warning.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from snakeval.config.config import Config
from snakeval.config.endpoints import Endpoint
from snakeval.dag.invocation import Invocation
from snakeval.errors import ConfigError
from snakeval.evaluation.definition import Evaluation, canonical_json
from snakeval.harnesses.generic import asks_nothing

if TYPE_CHECKING:  # a command that asks nothing need not import the client and all its words
    from snakeval.dag.endpoint_words import Finding, Target

#: Seconds for all endpoints. With the start of Snakemake, the command takes less than ten.
SECONDS = 7.0


class WrongEndpointsError(ConfigError):
    """No run can start with the endpoints of the configuration; there is a line for each."""


def models_asked(
    evaluations: Iterable[Evaluation], is_missing: Callable[[Evaluation], bool]
) -> list[str]:
    """Return the names of the models whose endpoints the *evaluations* that are missing ask.

    Models that snakeval serves are not among them, nor those for which journals answer.
    """
    found: dict[str, None] = {}
    for evaluation in evaluations:
        transport = evaluation.transport
        names = [
            name
            for name in (evaluation.model, *evaluation.identity.auxiliary)
            if name not in found and name not in transport.servers and transport.asks(name)
        ]
        if names and not asks_nothing(evaluation) and is_missing(evaluation):
            found.update(dict.fromkeys(names))
    return list(found)


def targets(config: Config, models: Iterable[str]) -> list[Target]:
    """Return the distinct endpoints of *models*, by URL, model id, key and request changes."""
    from snakeval.dag.endpoint_words import Target

    found: dict[str, Target] = {}
    for name in models:
        section = "models" if name in config.models else "auxiliary"
        model = getattr(config, section).get(name)
        if model is None or (endpoint := model.endpoint) is None:
            continue
        parts = [endpoint.route_url, endpoint.model_id, endpoint.api_key_name]
        key = canonical_json([*parts, endpoint.type.value, endpoint.request.identity])
        names = found[key].names if key in found else ()
        found[key] = Target((*names, f"{section}.{name}"), endpoint)
    return list(found.values())


def ask(
    asked: Sequence[Target], environment: Mapping[str, str] = os.environ, seconds: float = SECONDS
) -> list[Finding]:
    """Ask all endpoints at once; return what each answered, after *seconds* at most."""
    from snakeval.dag.endpoint_probe import Probe

    return _within(seconds, asked, lambda each: Probe(each, environment, seconds).find())


def listed(
    name: str,
    endpoint: Endpoint,
    environment: Mapping[str, str] = os.environ,
    seconds: float = SECONDS,
) -> tuple[str, ...]:
    """Return the ids of the models that the endpoint of the model *name* lists.

    Raises:
        ConfigError: it lists none.
    """
    from snakeval.dag.endpoint_probe import Probe
    from snakeval.dag.endpoint_words import Target

    target = Target((f"models.{name}",), endpoint)
    (finding,) = _within(
        seconds, [target], lambda each: Probe(each, environment, seconds).list_models()
    )
    if finding.problem is not None:
        raise ConfigError.of([finding.problem])
    return tuple(finding.served)


class Tokenizers:
    """The endpoints of one command that answer for their tokenizers, asked within *seconds*."""

    def __init__(
        self,
        config: Config,
        seconds: float = SECONDS,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._environment, self._clock = config, environment, clock
        self._until = clock() + seconds
        self._answers: dict[str, bool] = {}

    def answers(self, evaluation: Evaluation) -> bool:
        """Whether the endpoint of *evaluation* answers for its tokenizer."""
        model = self._config.models.get(evaluation.model)
        endpoint = model.endpoint if model else None
        if endpoint is None:
            return False
        if endpoint.route_url not in self._answers:
            self._answers[endpoint.route_url] = self._ask(evaluation.model, endpoint)
        return self._answers[endpoint.route_url]

    def _ask(self, name: str, endpoint: Endpoint) -> bool:
        from snakeval.dag.endpoint_probe import Probe
        from snakeval.dag.endpoint_words import Target

        if (left := self._until - self._clock()) <= 0:
            return False
        # Harnesses ask for tokenizers without a key, and the gateway adds none.
        target = Target((f"models.{name}",), endpoint.model_copy(update={"api_key_name": None}))
        (finding,) = _within(
            left, [target], lambda each: Probe(each, self._environment, left).find_tokenizer()
        )
        return finding.tokenizes


def _within(
    seconds: float, asked: Sequence[Target], ask_one: Callable[[Target], Awaitable[Finding]]
) -> list[Finding]:
    """Ask all at once; return what each answered, after *seconds* at most.

    A thread asks, since Python waits for the look-up of a host's name before it ends a loop.
    """
    import asyncio

    from snakeval.dag.endpoint_words import late

    found: dict[int, Finding] = {}
    errors: list[BaseException] = []
    ended = threading.Event()

    async def one(number: int) -> None:
        found[number] = await ask_one(asked[number])

    async def everything() -> None:
        tasks = [asyncio.ensure_future(one(number)) for number in range(len(asked))]
        done, _ = await asyncio.wait(tasks, timeout=seconds + 0.2)
        errors.extend(error for task in done if (error := task.exception()))
        ended.set()

    threading.Thread(target=lambda: asyncio.run(everything()), daemon=True).start()
    ended.wait(seconds + 1)
    if errors:
        raise errors[0]
    return [found.get(n) or late(target, seconds) for n, target in enumerate(asked)]


def refuse_wrong_endpoints(
    invocation: Invocation,
    is_missing: Callable[[Evaluation], bool],
    *,
    remote: bool,
    environment: Mapping[str, str] = os.environ,
) -> int:
    """Ask the endpoints that the command needs; return how many it asked.

    Those of jobs on other machines (*remote*) only warn, since these see another network.

    Raises:
        WrongEndpointsError: an endpoint cannot answer any request.
    """
    names = models_asked(invocation.selected.values(), is_missing)
    if not names:
        return 0
    # Another executor may hold keys that are not here.
    chosen = [
        target
        for target in targets(invocation.config, names)
        if not (key := target.endpoint.api_key_name) or environment.get(key)
    ]
    findings = ask(chosen, environment) if chosen else []
    wrong = [each.problem for each in findings if each.problem and each.stops and not remote]
    for each in findings:
        if each.problem and each.problem not in wrong:
            why = "from here; compute nodes may see another network" if remote else "the run starts"
            print(f"snakeval: warning: {each.problem}; {why}", file=sys.stderr)
    if wrong:
        raise WrongEndpointsError.of(wrong)
    return len(findings)
