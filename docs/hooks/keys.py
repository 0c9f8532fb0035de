"""The page of the configuration's keys, from the models of :mod:`snakeval.config`."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hooks import schema
from hooks.tables import GENERATED, row
from pydantic import BaseModel

from snakeval.config.config import Config
from snakeval.config.endpoints import EndpointType

DOCS = Path(__file__).resolve().parents[1]
_ROW = re.compile(r"\| `([^`]+)` \| (yes|no|reading) \|", re.ASCII)
#: The meaning of keys whose field has no description.
_MEANINGS = {
    "Config.name": "the run's name, a part of its identity",
    "Config.output_dir": "the directory of the runs, relative to the working directory",
    "Config.params": "parameters of every evaluation",
    "Config.models": "the models to score, by name",
    "Config.benchmarks": "the benchmarks by name, or a list of tasks of the catalogue",
    "Config.include": "the pairs `model/benchmark` to evaluate; shell patterns are allowed",
    "Config.exclude": "the pairs that are not evaluated",
    "Config.runtime": "how harnesses and servers start",
    "Config.network": "the network of containers",
    "Config.resources": "limits of every evaluation",
    "Config.execution": "requests to a scheduler, for all jobs",
    "Config.lease": "when another attempt replaces a dead one",
    "Params.temperature": "the sampling temperature",
    "Params.top_p": "the share of probability from which tokens are sampled",
    "Model.endpoint": "an endpoint that exists",
    "Model.deployment": "a server that snakeval starts and stops",
    "Model.ledger": "null = the run's value; the stricter of model and benchmark counts",
    "Model.prices": "prices of tokens and GPU hours, for costs and budgets",
    "Model.execution": "requests to a scheduler, for the jobs of this model",
    "Endpoint.type": "the route on which the model answers",
    "Endpoint.limits": "known limits of the endpoint",
    "Endpoint.request": "changes to each request",
    "Deployment.kind": "the kind of server",
    "Deployment.image": "container image; null = the catalogue's",
    "Deployment.type": "the route on which the model answers",
    "Deployment.endpoints": "paths of the server that differ from those of its kind",
    "Deployment.tensor_parallel_size": "GPUs over which each layer is split",
    "Deployment.pipeline_parallel_size": "stages over which the layers are split",
    "Deployment.data_parallel_size": "copies of the model in one server",
    "Deployment.mounts": "host paths that the server sees",
    "Deployment.lepton": "options of an endpoint on Lepton",
    "ServerPaths.chat": "the route of chat requests",
    "ServerPaths.completions": "the route of completions",
    "ServerPaths.embeddings": "the route of embeddings",
    "ServerPaths.models": "the list of models",
    "ServerPaths.health": "the path that answers once the server is ready",
    "Benchmark.endpoint_types": "the endpoint types that it can evaluate; null = the catalogue's",
    "Benchmark.params": "parameters of this benchmark",
    "Benchmark.per_model": "parameters of this benchmark on one model, by the model's name",
    "Benchmark.mounts": "host paths that the harness sees",
    "Benchmark.resources": "limits of this benchmark's evaluations",
    "Execution.slurm": "options of sbatch",
    "Slurm.account": "the account that pays",
    "Slurm.partition": "the partition of the jobs",
    "Slurm.qos": "the quality of service",
    "Slurm.constraint": "required features of the nodes",
    "Slurm.exclusive": "true = a job shares its nodes with no other job",
    "Slurm.comment": "a comment of the jobs",
    "Slurm.evaluations_per_allocation": "null = all of a model",
    "Slurm.allocations_per_model": "allocations of a model at the same time; null = as required",
    "LeaseTimes.heartbeat": "seconds between two heartbeats of an attempt",
    "Mount.source": "the path on the host",
    "Mount.target": "the absolute path in the container",
    "Mount.read_only": "true = the container cannot write to it",
    "Pair.model": "a model's name or a shell pattern",
    "Pair.benchmark": "a benchmark's name or a shell pattern",
    "MetricsFile.values": "metric -> its place in the file",
    "MetricPath.value": "the place of the value",
    "MetricPath.stderr": "the place of its standard error",
    "MetricPath.n": "the place of the number of samples",
    "MetricPath.higher_is_better": "true = a larger value is better",
    "SamplesFile.question": "the place of a sample's question",
    "SamplesFile.answer": "the place of the model's answer",
    "SamplesFile.reference": "the place of the right answer",
    "Prices.currency": "the currency of the prices, the same for all models",
    "Member.series": "the series",
    "Member.values": "the values of the pattern's wildcards",
    "Member.axis": "the wildcard that is the step",
    "Member.ready": "the series' `ready`",
    "Member.path": "the checkpoint's directory or model id",
    "Member.stat": "a digest of names, sizes and times of its files",
}  # fmt: skip


def page() -> str:
    """Return the page of the configuration's keys."""
    whole = schema.schema()
    places = _places()
    rows = dict(_ROW.findall((DOCS / "definitions.md").read_text(encoding="utf-8")))
    lines = [
        GENERATED + "# Configuration reference",
        "",
        "Every key of a configuration. [Configuration](../configuration.md) explains them with "
        "examples. A key without a default is null, or empty. The column *definition* shows what a "
        "change of the key does: *yes* reruns the affected evaluations, *reading* reads their "
        "results again without the harness, and *no* reruns nothing. See "
        "[definitions](../definitions.md).",
        "",
        "Editors complete and check the keys with "
        "[configuration.schema.json](configuration.schema.json). With the YAML extension of VS "
        "Code, write this as the first line of a configuration:",
        "",
        "```yaml",
        "# yaml-language-server: $schema=PATH/OF/configuration.schema.json",
        "```",
    ]
    for model in schema.models():
        part = whole if model is Config else _model_part(whole, model)
        lines += ["", f"## {_title(model, places)}", "", _sentence(inspect.getdoc(model) or "")]
        if others := places[model][1:]:
            lines += ["", "Also " + ", ".join(f"`{place}`" for place in others) + "."]
        lines += ["", "| key | type | default | definition | meaning |", "|---|---|---|---|---|"]
        required = part.get("required", ())
        for name, field in model.model_fields.items():
            node = part["properties"][name]
            key = f"{places[model][0]}.{name}".lstrip(".")
            default = "**required**" if name in required else _default(node)
            if model.__name__ == "Endpoint" and name == "model_id":
                default = "**required**, except in a series"
            cells = (
                f"`{name}`",
                _type(node, places),
                default,
                _definition(key, rows),
                field.description or _MEANINGS[f"{model.__name__}.{name}"],
            )
            lines.append(row(*cells))
    return "\n".join(lines) + "\n"


def _model_part(whole: Mapping[str, Any], model: type[BaseModel]) -> Mapping[str, Any]:
    part: Mapping[str, Any] = whole["$defs"][model.__name__]
    # A pair is also a text.
    return part["anyOf"][1] if "anyOf" in part else part


def _places() -> dict[type[BaseModel], list[str]]:
    """Return the paths of each model of the configuration."""
    found: dict[type[BaseModel], list[str]] = {Config: [""]}
    queue: list[tuple[type[BaseModel], str]] = [(Config, "")]
    for model, place in queue:
        for name, field in model.model_fields.items():
            for part in schema.parts(field.annotation):
                named = "dict[" in str(field.annotation)
                path = f"{place}.{name}".lstrip(".") + (".<name>" if named else "")
                found.setdefault(part, []).append(path)
                if not path.startswith("auxiliary"):
                    queue.append((part, path))
    return found


def _title(model: type[BaseModel], places: Mapping[type[BaseModel], list[str]]) -> str:
    return f"`{places[model][0]}`" if places[model][0] else "Top level"


def _sentence(text: str) -> str:
    text = re.sub(r":\w+:`[~.]?([^`]+)`", r"`\1`", text.partition("\n\n")[0])
    return " ".join(text.replace("``", "`").split())


def _type(node: Mapping[str, Any], places: Mapping[type[BaseModel], list[str]]) -> str:
    """Return the type of a key, with its limits."""
    if "anyOf" in node and node.get("title") not in _TITLES:
        parts = [_type(part, places) for part in node["anyOf"] if part != {"type": "null"}]
        return " or ".join(dict.fromkeys(parts))
    if node.get("title") in _TITLES:
        return _TITLES[node["title"]]
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        model = next((each for each in places if each.__name__ == name), None)
        if model is None:
            return ", ".join(f"`{kind.value}`" for kind in EndpointType)
        return f"[{_title(model, places)}](#{_anchor(_title(model, places))})"
    if "enum" in node or "const" in node:
        return ", ".join(f"`{value}`" for value in node.get("enum", [node.get("const")]))
    kind = node.get("type")
    if kind == "array":
        if "prefixItems" in node:
            return "list"
        return f"list of {_type(node.get('items', {}), places)}"
    if kind == "object":
        inner = node.get("additionalProperties")
        return f"name → {_type(inner, places)}" if isinstance(inner, dict) and inner else "mapping"
    return _WORDS.get(str(kind), "any value") + _limits(node)


_TITLES = {
    "time": "a time such as `4h`",
    "rule": "a [rule](../health.md)",
    "switch": "`on`, `memory`, `off`",
}
_WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
}


def _limits(node: Mapping[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {node[key]}" for key, sign in signs.items() if key in node]
    if node.get("minLength"):
        found.append("not empty")
    if "pattern" in node:
        found.append(f"like `{node['pattern']}`")
    return f" {', '.join(found)}" if found else ""


def _default(node: Mapping[str, Any]) -> str:
    value = node.get("default")
    if value in (None, {}, [], "") or isinstance(value, dict):
        return ""
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _definition(key: str, rows: Mapping[str, str]) -> str:
    key = re.sub(r"^auxiliary\b", "models", key).replace("<name>", "*")
    parts = key.split(".")
    names = [
        key,
        *(".".join(parts[:n]) + end for n in range(len(parts), 0, -1) for end in (".*", "")),
    ]
    below = {value for row, value in rows.items() if row.startswith((f"{key}.",))}
    if key in rows or not below:
        return next((rows[name] for name in names if name in rows), "")
    return below.pop() if len(below) == 1 else "see there"


def _anchor(title: str) -> str:
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title.lower()).strip())
