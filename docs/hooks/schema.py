"""The JSON Schema of a configuration, for editors.

It follows from the models of :mod:`snakeval.config`. A validator may accept more than the type of
its field, such as ``4h`` for a number of minutes. :data:`ACCEPTED` has the schema of such fields,
and :func:`unknown_validators` finds a validator that neither list knows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, BeforeValidator, WrapValidator

from snakeval.config.config import Config

TEXT = {"type": "string"}
NAMES = {"type": "array", "items": TEXT}
WALLTIME = {
    "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^\d"}],
    "title": "time",
}
SWITCH = {"enum": ["on", "memory", "off", True, False], "title": "switch"}
COUNT = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^\d"}]}
LEVEL = {"anyOf": [{"type": "number", "minimum": 0}, TEXT, {"type": "null"}]}
RULE = {
    "anyOf": [
        {"enum": ["fail", "warn", "ignore"]},
        {
            "type": "object",
            "properties": {"fail": LEVEL, "warn": LEVEL, "ignore": LEVEL},
            "additionalProperties": False,
        },
    ],
    "title": "rule",
}
OPTIONS = {"anyOf": [{"type": "object"}, {"type": "null"}]}

#: The values that validators accept, by the name of the validator, or of the class and field.
ACCEPTED: dict[str, dict[str, Any]] = {
    "_minutes": WALLTIME,
    "_switched": SWITCH,
    "_whole": COUNT,
    "_rule": RULE,
    "Config.budget": {"anyOf": [{"$ref": "#/$defs/Budget"}, {"const": "none"}, {"type": "null"}]},
    "Config.export": {"anyOf": [NAMES, {"type": "object", "additionalProperties": OPTIONS}]},
    "Config.benchmarks": {
        "anyOf": [
            {**NAMES, "minItems": 1},
            {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {
                    "anyOf": [{"$ref": "#/$defs/Benchmark"}, {"type": "null"}]
                },
            },
        ]
    },
    "Deployment.env": {"anyOf": [NAMES, {"type": "object", "additionalProperties": TEXT}]},
    "Benchmark.env": {"anyOf": [NAMES, {"type": "object", "additionalProperties": TEXT}]},
    "LeptonEndpoint.priority": {"anyOf": [TEXT, {"type": "integer"}, {"type": "null"}]},
    "Slurm.extra_flags": {"anyOf": [TEXT, NAMES]},
    "MetricsFile.values": {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"anyOf": [TEXT, {"$ref": "#/$defs/MetricPath"}]},
    },
}
#: Validators that accept no other type than their field's.
NARROWING = {
    "check_name", "check_model_name", "_path", "_plain", "_variable", "_pattern", "_ready",
    "_removed", "_shorthand", "_known_keys", "_series", "_text", "_destinations",
    "_benchmark_list", "_samples", "_list_of_names", "_number_or_numbers", "_word", "_joined",
    "or_installed.<locals>.check",
}  # fmt: skip


def models(model: type[BaseModel] = Config) -> list[type[BaseModel]]:
    """Return the models of a configuration, each once, in the order of their keys."""
    found = [model]
    for parent in found:
        for field in parent.model_fields.values():
            found += [part for part in parts(field.annotation) if part not in found]
    return found


def parts(kind: Any) -> Iterator[type[BaseModel]]:
    """Yield the models in the type of a field."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for part in get_args(kind):
        yield from parts(part)


def _validators(field: Any) -> Iterator[str]:
    """Yield the names of a field's validators that see the raw value."""
    kinds, marks = [field.annotation], list(field.metadata)
    for kind in kinds:
        kinds += get_args(kind)
        marks += getattr(kind, "__metadata__", ())
    for mark in marks:
        if isinstance(mark, BeforeValidator | WrapValidator):
            yield mark.func.__qualname__


def unknown_validators() -> list[str]:
    """Return the validators of raw values that are in neither list of this module."""
    found = []
    for model in models():
        decorators = model.__pydantic_decorators__
        own = {**decorators.field_validators, **decorators.model_validators}
        names = {
            *(n for n, d in own.items() if d.info.mode != "after" and n != "_no_truth_value"),
            *(n for field in model.model_fields.values() for n in _validators(field)),
        }
        found += [f"{model.__name__}: {n}" for n in names - NARROWING - ACCEPTED.keys()]
    return sorted(found)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a configuration."""
    whole = Config.model_json_schema()
    named = {**whole["$defs"], "Config": whole}
    for model in models():
        part = named[model.__name__]
        for name, field in model.model_fields.items():
            own = f"{model.__name__}.{name}"
            keys = [key for key in (own, *_validators(field)) if key in ACCEPTED]
            if keys:
                old = part["properties"][name]
                kept = {key: old[key] for key in ("default", "description") if key in old}
                part["properties"][name] = _nullable(ACCEPTED[keys[0]], field) | kept
    # A pair is also a text, and the id of a series' models is in its pattern.
    whole["$defs"]["Pair"] = {"anyOf": [TEXT, named["Pair"]], "title": "Pair"}
    named["Endpoint"]["required"].remove("model_id")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **{key: value for key, value in whole.items() if key != "title"},
        "title": "A configuration of snakeval",
    }


def _nullable(accepted: dict[str, Any], field: Any) -> dict[str, Any]:
    if (
        field.default is not None
        or field.is_required()
        or {"type": "null"} in accepted.get("anyOf", ())
    ):
        return dict(accepted)
    return {"anyOf": [accepted, {"type": "null"}]}


def as_text() -> str:
    """Return the file of the schema."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"
