"""Says how a harness asks a model: at an endpoint, or at a deployment that snakeval serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from snakeval.config.config import Config
from snakeval.config.models import Model
from snakeval.matrix.facts import NOTHING, Facts
from snakeval.serving.tokenizer import for_harness


class Served(NamedTuple):
    """How a harness asks a model: an endpoint, or a deployment that snakeval serves."""

    model_id: str
    endpoint_url: str
    endpoint_type: str
    api_key_name: str
    deployment: Mapping[str, Any]
    in_format_1: Callable[[], Mapping[str, Any]] = dict
    ledger: str = ""
    limits: Mapping[str, float] = {}
    request: Mapping[str, Any] = {}
    tokenizer: Mapping[str, str] = {}

    @classmethod
    def of(cls, name: str, model: Model, config: Config, facts: Facts = NOTHING) -> Served:
        """Return how to ask the model *name*."""
        if model.deployment:
            made, sampled = facts.deployment(name, model.deployment, config.network, config.runtime)
            definition = made.definition
            return cls(
                definition.served_model_name,
                definition.path,
                definition.endpoint_type,
                "",
                definition.identity,
                lambda: definition.in_format_1(sampled()),
                ledger=model.ledger or "",
                tokenizer=for_harness(made),
            )
        endpoint = model.endpoint
        assert endpoint is not None, "the configuration has one or the other"
        key = endpoint.api_key_name or ""
        return cls(
            endpoint.model_id,
            endpoint.route_url,
            endpoint.type.value,
            key,
            {},
            ledger=model.ledger or "",
            limits=endpoint.limits.model_dump(exclude_none=True),
            request=endpoint.request.identity,
        )

    @property
    def identity(self) -> dict[str, Any]:
        """The part of the identity of an evaluation that describes the model."""
        return self._with(self.deployment)

    @property
    def identity_in_format_1(self) -> dict[str, Any]:
        """The same part in format 1."""
        return self._with(self.in_format_1() if self.deployment else {})

    def _with(self, deployment: Mapping[str, Any]) -> dict[str, Any]:
        asked: dict[str, Any] = {
            "model_id": self.model_id,
            "endpoint_url": self.endpoint_url,
            "endpoint_type": self.endpoint_type,
        }
        more = {"deployment": deployment, "request": self.request}
        return asked | {name: value for name, value in more.items() if value}
