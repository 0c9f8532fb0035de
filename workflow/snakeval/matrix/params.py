"""Layers parameters: of the catalogue, the run, the benchmark, and the benchmark on one model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from snakeval.config.benchmarks import Params
from snakeval.evaluation.definition import TRANSPORT_PARAMS


class Resolved(NamedTuple):
    """Parameters after layering, and which layer set each (keys of ``extra`` are dotted)."""

    values: dict[str, Any]
    origins: dict[str, str]


def layer_params(layers: Mapping[str, Mapping[str, Any]]) -> Resolved:
    """Merge parameter layers, named from the weakest to the strongest.

    ``extra`` is merged key by key; any other value replaces the one below it.

    >>> layer_params({"run": {"extra": {"a": 1, "b": 1}}, "benchmark": {"extra": {"b": 2}}})
    Resolved(values={'extra': {'a': 1, 'b': 2}}, origins={'extra.a': 'run', 'extra.b': 'benchmark'})
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer, params in layers.items():
        _merge(values, params, origins, layer, "")
    return Resolved(values, origins)


def _merge(
    target: dict[str, Any], layer: Mapping[str, Any], origins: dict[str, str], name: str, above: str
) -> None:
    for key, value in layer.items():
        path = f"{above}{key}"
        if isinstance(value, Mapping) and (above or key == "extra"):
            below = target.get(key)
            target[key] = dict(below) if isinstance(below, dict) else {}
            _merge(target[key], value, origins, name, f"{path}.")
        else:
            target[key] = value
            origins[path] = name


def score_params(resolved: Resolved) -> dict[str, Any]:
    """Return the parameters that can change a score."""
    return {k: v for k, v in resolved.values.items() if k not in TRANSPORT_PARAMS}


def explicit(params: Params) -> dict[str, Any]:
    """Return the parameters that a person wrote. An explicit null overrides a default below it."""
    return params.model_dump(mode="json", exclude_unset=True)
