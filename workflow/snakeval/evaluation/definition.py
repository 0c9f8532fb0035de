"""One evaluation: a benchmark on a model, as plain data that crosses from the head to the job.

:class:`Identity` is everything that determines the scores, :class:`Transport` everything that
does not. They are different types, so that no list of exceptions decides what a fingerprint holds.

A fingerprint is the SHA-256 of what runs, not of how a configuration writes it:
:mod:`snakeval.evaluation.canonical` removes the differences that change nothing. The place of
metrics in a results file is no part of it, since a corrected place requires no answer of a model
again. It has a digest of its own, :attr:`Evaluation.reading`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from snakeval.evaluation.canonical import TRANSPORT_PARAMS as TRANSPORT_PARAMS
from snakeval.evaluation.canonical import canonical
from snakeval.evaluation.plain import build
from snakeval.files import json_object, json_value, sealed
from snakeval.lease import HEARTBEAT_SECONDS, STALE_SECONDS

#: Raise it when the meaning of an identity changes. A record of an earlier format counts if its
#: fingerprint, computed again from the same configuration, is equal: see :attr:`Evaluation.older`.
IDENTITY_FORMAT = 2
#: The fields of an identity in format 1. Empty ones of the second tuple were left out.
_FORMAT_1 = (
    "harness", "adapter", "image", "task", "model_id", "endpoint_url", "endpoint_type", "params",
    "files_digest", "packages", "command", "metrics",
)  # fmt: skip
_FORMAT_1_IF_ANY = ("deployment", "auxiliary")

_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
)


def canonical_json(value: object) -> str:
    """Return the one JSON text of *value*: sorted keys, no blanks, ASCII, no NaN."""
    return _CANONICAL.encode(value)


def digest(value: object) -> str:
    """Return the SHA-256 of the canonical JSON of *value*, in hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Identity:
    """Everything that determines the scores.

    Attributes:
        harness: the harness's name in the catalogue.
        adapter: the module that knows its command line.
        image: the container image, or empty for a command without one.
        packages: pinned packages of a generic command's environment (``runtime: process``).
        task: the harness's name of the task.
        endpoint_url: the full URL that requests go to; of a deployed model only its path, since
            host and port are another each time.
        params: limit_samples, temperature, top_p, max_new_tokens, task and extra.
        files_digest: SHA-256 over the benchmark's own files, or empty.
        command, metrics: of a generic harness.
        deployment: what the model is served from (:class:`snakeval.serving.deployment.Definition`).
        auxiliary: the models that the benchmark asks, by name, each described as above.
        image_digest: the run's pin of the image, or empty if only its tag is known.
        set_env: environment variables of the harness with their values.
        request: the gateway's changes to the requests: rename, drop and add.
        format: by whose rules the fingerprint is computed.
    """

    harness: str
    adapter: str
    image: str
    task: str
    model_id: str
    endpoint_url: str
    endpoint_type: str
    params: Mapping[str, Any]
    files_digest: str = ""
    packages: tuple[str, ...] = ()
    command: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    deployment: Mapping[str, Any] = field(default_factory=dict)
    auxiliary: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    image_digest: str = ""
    set_env: Mapping[str, str] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)
    format: int = IDENTITY_FORMAT

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON data, with the number of the format."""
        # Not dataclasses.asdict, which copies deeply: 10,000 fingerprints took it two seconds.
        if self.format != 1:
            return {name: getattr(self, name) for name in self.__slots__}
        data: dict[str, Any] = {"format": 1, **{name: getattr(self, name) for name in _FORMAT_1}}
        return data | {n: found for n in _FORMAT_1_IF_ANY if (found := getattr(self, n))}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON, in hex."""
        return fingerprint_of(self.as_dict())

    def changes(self, before: Mapping[str, Any]) -> list[str]:
        """Say what is not as in *before*, which is an identity as a record has it."""
        return changes(_shown(before), json_value(canonical_json(_shown(self.as_dict()))))


def fingerprint_of(identity: Mapping[str, Any]) -> str:
    """Return the fingerprint of an identity as a record has it, by the rules of its format."""
    return digest(identity if identity.get("format") == 1 else canonical(identity))


def reading_of(identity: Mapping[str, Any]) -> str:
    """Return the digest of where metrics are read, of an identity as a record has it."""
    return digest(identity.get("metrics") or {})


def _shown(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of an identity whose change a person wants to read."""
    data = {name: value for name, value in identity.items() if name not in ("format", "metrics")}
    for name in (*_FORMAT_1_IF_ANY, "set_env", "request"):
        data.setdefault(name, {})
    return data


def changes(before: object, after: object, key: str = "") -> list[str]:
    """Say what differs between identities of records, or parts; digests and long texts by name."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return [
            change
            for name in sorted({*before, *after})
            for change in changes(before.get(name), after.get(name), f"{key}.{name}".lstrip("."))
        ]
    old, new, name = f"{before!r:.40}", f"{after!r:.40}", key.removesuffix("_digest")
    text = f"{name} changed" if before and after and (name != key or old == new) else ""
    return [] if before == after else [text or f"{key}: {old} → {new}"]


def identity_of(data: Mapping[str, Any]) -> Identity:
    """Build an identity from the plain data of a definition or a record.

    Raises:
        ValueError, KeyError, TypeError: it is damaged, or of another format.
    """
    if data["format"] not in (1, IDENTITY_FORMAT):
        raise ValueError(
            f"identity format {data['format']}, this snakeval reads up to {IDENTITY_FORMAT}"
        )
    return build(Identity, data)


@dataclass(frozen=True, slots=True)
class Transport:
    """Everything that the job needs and that no score depends on.

    Attributes:
        api_key_name: the environment variable that holds the endpoint's API key, or empty.
        env: names of environment variables: inside the harness's environment -> here.
        files: host directory that defines the benchmark, or empty.
        mounts: (source, target, read_only) of further mounts.
        requirements: path of pinned requirements for ``runtime: process``, or empty.
        resources: cpus, mem_mb, shm_mb, gpus, runtime (minutes); None = no limit.
        servers: names of its model's and its auxiliary models' deployments.
        auxiliary_keys: auxiliary model -> environment variable that holds its API key.
        samples: ``metrics.samples`` of a generic harness; of others ``group`` of ``samples``.
        heartbeat, stale: of the attempt's lease, in seconds; see :mod:`snakeval.lease`.
        ledger: whether a gateway asks the models: ``on``, ``memory`` or ``off``.
        is_adaptive: whether the gateway finds the parallelism; ``parallelism`` is then its ceiling.
        limits: the stated limits of the endpoint of each model that it asks, by name.
        rivals: how many evaluations of the plan may ask the model's endpoint at once.
        ask_again: which stored answers to drop, with the id of the command that wants it.
        offline: whether the journals alone answer, except for the models *online*.
        answers: paths of runs whose journals answer before its own.
        health: the rules of :mod:`snakeval.config.health_rules` that are not the default.
        answers_as: the model's name in the answers, if it is stated, by the name of the model.
        keep: the name of the model whose answers count, by the model's name. A job sets it.
        prices: of each model that it asks and that has some.
        budget: what the run may spend by kind, time in seconds; nothing without a budget.
        tokenizer: as :func:`snakeval.serving.tokenizer.for_harness` returns it.
        keys, inherit: see :func:`snakeval.runtimes.passed_on.withheld`.
    """

    parallelism: int = 4
    request_timeout: int = 300
    max_retries: int = 5
    api_key_name: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    files: str = ""
    mounts: tuple[tuple[str, str, bool], ...] = ()
    requirements: str = ""
    runtime: str = "auto"
    network: str = "host"
    resources: Mapping[str, int | None] = field(default_factory=dict)
    servers: tuple[str, ...] = ()
    auxiliary_keys: Mapping[str, str] = field(default_factory=dict)
    heartbeat: float = HEARTBEAT_SECONDS
    stale: float = STALE_SECONDS
    samples: Mapping[str, Any] = field(default_factory=dict)
    ledger: str = "on"
    is_adaptive: bool = False
    limits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    rivals: int = 1
    ask_again: str = ""
    offline: bool = False
    answers: tuple[str, ...] = ()
    health: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    answers_as: Mapping[str, str] = field(default_factory=dict)
    keep: Mapping[str, str] = field(default_factory=dict)
    prices: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    budget: Mapping[str, float] = field(default_factory=dict)
    online: tuple[str, ...] = ()
    tokenizer: Mapping[str, str] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    inherit: tuple[str, ...] = ("*",)

    def asks(self, model: str) -> bool:
        """Whether requests may reach *model*, or its journal alone answers."""
        return not self.offline or model in self.online


@dataclass(frozen=True)
class Evaluation:
    """One benchmark on one model: the unit of work, of resume and of reporting.

    ``origins`` maps each parameter to the layer that set it (``catalogue``, ``run``,
    ``benchmark``, ``benchmark on model`` or ``default``).

    Attributes:
        earlier: returns the identity in format 1, if its values differ from those of today's.
    """

    model: str
    benchmark: str
    identity: Identity
    transport: Transport
    origins: Mapping[str, str] = field(default_factory=dict)
    earlier: Callable[[], Identity] | None = field(default=None, compare=False, repr=False)

    @property
    def id(self) -> str:
        """``model/benchmark``: unique in a run, and its directory below the run's."""
        return f"{self.model}/{self.benchmark}"

    @cached_property
    def fingerprint(self) -> str:
        """The fingerprint of its identity."""
        return self.identity.fingerprint

    @cached_property
    def older(self) -> tuple[str, ...]:
        """The fingerprints of earlier formats that mean the same evaluation."""
        # Format 1 knew no changes to requests.
        is_new = self.identity.format == 1 or self.identity.request
        return () if is_new else (self.in_format_1.fingerprint,)

    @cached_property
    def in_format_1(self) -> Evaluation:
        """The same evaluation by the rules of format 1, for a run that has a result of it."""
        identity = self.earlier() if self.earlier else self.identity
        return replace(self, identity=replace(identity, format=1), earlier=None)

    @cached_property
    def reading(self) -> str:
        """The digest of where metrics are read, which is no part of the fingerprint."""
        return digest(self.identity.metrics)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data for the job that runs it."""
        return {
            "model": self.model,
            "benchmark": self.benchmark,
            "fingerprint": self.fingerprint,
            "identity": self.identity.as_dict(),
            "transport": asdict(self.transport),
            "origins": dict(self.origins),
        }

    def to_json(self) -> str:
        """Serialise it for the job that runs it."""
        return sealed(self.as_dict())

    @classmethod
    def from_json(cls, text: str) -> Evaluation:
        """Read what :meth:`to_json` wrote; see :meth:`from_dict`."""
        return cls.from_dict(json_object(text.encode()))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Evaluation:
        """Build it from :meth:`as_dict`, also in format 1.

        Raises:
            ValueError, KeyError, TypeError: it is damaged, or of another format.
        """
        plain = {"model": data["model"], "benchmark": data["benchmark"], "origins": data["origins"]}
        identity, transport = identity_of(data["identity"]), build(Transport, data["transport"])
        return build(cls, plain | {"identity": identity, "transport": transport})
