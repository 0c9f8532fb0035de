"""Each key of the configuration is documented as part of the definition or not, and so it is."""

from __future__ import annotations

import copy
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from snakeval.config.config import Config
from snakeval.evaluation.definition import Evaluation
from snakeval.matrix.expand import expand
from snakeval.matrix.facts import Facts
from support.configs import config
from support.workspace import REPOSITORY

PAGE = REPOSITORY / "docs" / "definitions.md"
ROW = re.compile(r"\| `([^`]+)` \| (yes|no|reading) \|", re.ASCII)
DOCUMENTED = dict(ROW.findall(PAGE.read_text(encoding="utf-8")))


def models_in(kind: Any) -> Iterator[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for part in typing.get_args(kind):
        yield from models_in(part)


def keys(model: type[BaseModel], above: str = "") -> Iterator[str]:
    """Yield the path of each key that holds a value, with ``*`` for names that a user chooses."""
    for name, field in model.model_fields.items():
        path = f"{above}{name}"
        inner = [*models_in(field.annotation)]
        if typing.get_origin(field.annotation) is dict and inner:
            path += ".*"
        if not inner:
            yield path
        for part in inner:
            yield from keys(part, f"{path}.")


def row_of(key: str) -> str | None:
    """Return the row that documents a key: its own, or one of a section."""
    key = re.sub(r"^auxiliary\.", "models.", key)
    sections = ["models.*.deployment.mounts", "benchmarks.*.mounts", "benchmarks.*.params"]
    sections += ["benchmarks.*.per_model", "benchmarks.*.metrics.values", "include", "exclude"]
    for section in sections:
        if key.startswith(f"{section}."):
            return section
    parts = key.split(".")
    sections = [".".join(parts[:count]) + ".*" for count in range(1, len(parts))]
    return next((name for name in (key, *sections) if name in DOCUMENTED), None)


def test_each_key_of_the_configuration_is_documented_and_each_row_is_of_a_key() -> None:
    found = {key: row_of(key) for key in keys(Config)}
    assert [key for key, row in found.items() if row is None] == []
    assert DOCUMENTED.keys() - set(found.values()) == set()


BASE: dict[str, Any] = {
    "models": {
        "e": {"endpoint": {"url": "http://host/v1", "model_id": "e"}},
        "d": {"deployment": {"kind": "vllm", "hf_model_handle": "org/d"}},
        "w": {"deployment": {"kind": "vllm", "checkpoint_path": "weights"}},
        "g": {"deployment": {"kind": "generic", "command": "serve {{ port }}"}},
    },
    "auxiliary": {"judge": {"endpoint": {"url": "http://judge/v1", "model_id": "j"}}},
    "benchmarks": {
        "b": {
            "harness": "generic",
            "command": "run {{ results }}",
            "metrics": {"file": "f.json", "values": {"v": "v"}},
            "files": "files",
        },
        "l": {"harness": "lm-eval", "task": "t"},
    },
}
SERIES = {"deployment": {"kind": "vllm"}, "checkpoints": {"pattern": "step-{step}"}}
MEMBER = BASE["models"]["w"] | {"member": {"series": "w", "values": {"step": "7"}, "axis": "step"}}
#: For each row, keys with values that differ from those of BASE.
CHANGES: dict[str, tuple[str, Any]] = {
    "name": ("name", "other"),
    "output_dir": ("output_dir", "elsewhere"),
    "params.limit_samples": ("params.limit_samples", 5),
    "params.temperature": ("params.temperature", 0.5),
    "params.top_p": ("params.top_p", 0.5),
    "params.max_new_tokens": ("params.max_new_tokens", 5),
    "params.seed": ("params.seed", 5),
    "params.task": ("params.task", "other"),
    "params.extra": ("params.extra", {"num_fewshot": 5}),
    "params.parallelism": ("params.parallelism", 5),
    "params.request_timeout": ("params.request_timeout", 5),
    "params.max_retries": ("params.max_retries", 9),
    "models.*.endpoint.url": ("models.e.endpoint.url", "http://other/v1"),
    "models.*.endpoint.model_id": ("models.e.endpoint.model_id", "other"),
    "models.*.endpoint.type": ("models.e.endpoint.type", "completions"),
    "models.*.endpoint.api_key_name": ("models.e.endpoint.api_key_name", "KEY"),
    "models.*.endpoint.request.rename": ("models.e.endpoint.request.rename", {"a": "b"}),
    "models.*.endpoint.request.drop": ("models.e.endpoint.request.drop", ["seed"]),
    "models.*.endpoint.request.add": ("models.e.endpoint.request.add", {"top_k": 5}),
    "models.*.deployment.kind": ("models.d.deployment.kind", "sglang"),
    "models.*.deployment.image": ("models.d.deployment.image", "my/vllm:2"),
    "models.*.deployment.command": ("models.g.deployment.command", "serve -p {{ port }}"),
    "models.*.deployment.checkpoint_path": ("models.w.deployment.checkpoint_path", "tuned"),
    "models.*.deployment.adapter_path": ("models.d.deployment.adapter_path", "tuned"),
    "models.*.deployment.swap": ("models.w.deployment.swap", True),
    "models.*.deployment.weights_digest": ("models.w.deployment.weights_digest", "stat"),
    "models.*.deployment.hf_model_handle": ("models.d.deployment.hf_model_handle", "org/other"),
    "models.*.deployment.served_model_name": ("models.d.deployment.served_model_name", "other"),
    "models.*.deployment.type": ("models.d.deployment.type", "completions"),
    "models.*.deployment.endpoints.chat": ("models.d.deployment.endpoints.chat", "/chat"),
    "models.*.deployment.endpoints.completions": (
        "models.d.deployment", {"type": "completions", "endpoints": {"completions": "/c"}},
    ),
    "models.*.deployment.endpoints.embeddings": (
        "models.d.deployment", {"type": "embedding", "endpoints": {"embeddings": "/e"}},
    ),
    "models.*.deployment.endpoints.models": ("models.d.deployment.endpoints.models", "/m"),
    "models.*.deployment.endpoints.health": ("models.d.deployment.endpoints.health", "/h"),
    "models.*.deployment.port": ("models.d.deployment.port", 8000),
    "models.*.deployment.tensor_parallel_size": ("models.d.deployment.tensor_parallel_size", 2),
    "models.*.deployment.pipeline_parallel_size": (
        "models.d.deployment.pipeline_parallel_size", 2,
    ),
    "models.*.deployment.data_parallel_size": ("models.d.deployment.data_parallel_size", 2),
    "models.*.deployment.nodes": ("models.g.deployment.nodes", 2),
    "models.*.deployment.instances": ("models.d.deployment.instances", 2),
    "models.*.deployment.gpus": ("models.d.deployment.gpus", 2),
    "models.*.deployment.extra_args": ("models.d.deployment.extra_args", "--seed 1"),
    "models.*.deployment.set_env": ("models.d.deployment.set_env", {"A": "1"}),
    "models.*.deployment.env": ("models.d.deployment.env", ["TOKEN"]),
    "models.*.deployment.mounts": (
        "models.d.deployment.mounts", [{"source": "files", "target": "/x", "read_only": False}],
    ),
    "models.*.deployment.shm_mb": ("models.d.deployment.shm_mb", 5),
    "models.*.deployment.mem_mb": ("models.d.deployment.mem_mb", 5),
    "models.*.deployment.readiness_timeout": ("models.d.deployment.readiness_timeout", 5),
    "models.*.deployment.idle_timeout": ("models.d.deployment.idle_timeout", 5),
    "models.*.deployment.max_restarts": ("models.d.deployment.max_restarts", 5),
    "models.*.deployment.runtime": ("models.d.deployment.runtime", "podman"),
    "models.*.deployment.lepton.*": (
        "models.d.deployment.lepton", {"max_replicas": 5, "target_qpm": 5},
    ),
    "models.*.checkpoints.*": ("models", {"s": SERIES}),
    "models.*.member.*": ("models", {"w@7": MEMBER}),
    "models.*.execution.*": ("models.d.execution", {"slurm": {"partition": "p"}}),
    "benchmarks.*.task": ("benchmarks.l.task", "other"),
    "benchmarks.*.harness": ("benchmarks.l.harness", "lm-evaluation-harness"),
    "benchmarks.*.image": ("benchmarks.b.image", "other:1"),
    "benchmarks.*.endpoint_types": ("benchmarks.b.endpoint_types", ["chat"]),
    "benchmarks.*.params": ("benchmarks.b.params", {"temperature": 0.5}),
    "benchmarks.*.per_model": ("benchmarks.b.per_model", {"e": {"temperature": 0.5}}),
    "benchmarks.*.repeats": ("benchmarks.b.repeats", 2),
    "benchmarks.*.files": ("benchmarks.b.files", "other-files"),
    "benchmarks.*.mounts": (
        "benchmarks.b.mounts", [{"source": "files", "target": "/x", "read_only": False}],
    ),
    "benchmarks.*.env": ("benchmarks.b.env", ["HOME"]),
    "benchmarks.*.set_env": ("benchmarks.b.set_env", {"A": "1"}),
    "benchmarks.*.resources.*": ("benchmarks.b.resources", {"cpus": 2, "gpus": 1, "runtime": 5}),
    "benchmarks.*.command": ("benchmarks.b.command", "run -v {{ results }}"),
    "benchmarks.*.metrics.file": ("benchmarks.b.metrics.file", "other.json"),
    "benchmarks.*.metrics.format": ("benchmarks.b.metrics.format", "yaml"),
    "benchmarks.*.metrics.values": (
        "benchmarks.b.metrics.values", {"v": {"value": "w", "stderr": "e", "n": "n"}},
    ),
    "benchmarks.*.metrics.samples.*": (
        "benchmarks.b.metrics.samples", {"file": "s.jsonl", "scores": {"v": "v"}},
    ),
    "benchmarks.*.samples.group": ("benchmarks.l.samples", {"group": "g"}),
    "benchmarks.*.requirements": ("benchmarks.b.requirements", ["six==1.16.0"]),
    "benchmarks.*.auxiliary": ("benchmarks.b.auxiliary", ["judge"]),
    "benchmarks.*.execution.*": ("benchmarks.b.execution", {"slurm": {"partition": "p"}}),
    "include": ("include", ["e/b"]),
    "exclude": ("exclude", ["e/b"]),
    "runtime": ("runtime", "process"),
    "network": ("network", "bridge"),
    "inherit": ("inherit", ["*", "GITHUB_TOKEN"]),
    "resources.*": ("resources", {"cpus": 2, "mem_mb": 5, "shm_mb": 5, "gpus": 1, "runtime": 5}),
    "execution.*": ("execution", {"slurm": {"partition": "p"}}),
    "follow.*": ("follow", {"slots": 2, "retry": 5}),
    "lease.*": ("lease", {"heartbeat": 1, "stale": 9}),
    "ledger": ("ledger", "memory"),
    "models.*.ledger": ("models.e.ledger", "off"),
    "models.*.endpoint.limits.*": ("models.e.endpoint.limits", {"concurrency": 2, "patience": 9}),
    "benchmarks.*.ledger": ("benchmarks.b.ledger", "on"),
    "health.*": ("health", {"cut": "fail", "refused": {"warn": "2 %"}}),
    "models.*.health.*": ("models.e.health", {"cut": "fail"}),
    "models.*.endpoint.answers_as": ("models.e.endpoint.answers_as", "e-2026-11-01"),
    "benchmarks.*.alert.*": ("benchmarks.b.alert", {"drop": True, "webhook": "SLACK_URL"}),
    "benchmarks.*.health.*": ("benchmarks.b.health", {"empty": "ignore"}),
    "models.*.prices.*": ("models.e.prices", {"input": 2, "output": 3, "currency": "EUR"}),
    "budget.*": ("budget", {"tokens": 1000, "wall": "4h"}),
    "export": ("export", ["local"]),
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    for directory, content in (
        ("weights", "1"),
        ("tuned", "2"),
        ("files", "3"),
        ("other-files", "4"),
    ):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "file.txt").write_text(content)
    return tmp_path


def changed(key: str, value: Any) -> dict[str, Any]:
    content = copy.deepcopy(BASE)
    place = content
    *above, last = key.split(".")
    for name in above:
        place = place.setdefault(name, {})
    place[last] = place[last] | value if isinstance(place.get(last), dict) else value
    return content


def defined(place: Path, content: dict[str, Any]) -> dict[str, Evaluation]:
    return {e.id: e for e in expand(config(place, content), Facts(reads=True))}


def test_each_row_has_a_change() -> None:
    assert CHANGES.keys() == DOCUMENTED.keys()


@pytest.mark.parametrize("row", CHANGES)
def test_a_change_of_a_key_reruns_exactly_if_the_page_says_so(place: Path, row: str) -> None:
    before, after = (defined(place, content) for content in (BASE, changed(*CHANGES[row])))
    shared = [name for name in before if name in after]
    assert shared, "nothing is compared"
    reruns = any(before[name].fingerprint != after[name].fingerprint for name in shared)
    reads = any(before[name].reading != after[name].reading for name in shared)
    assert {"yes": (True, False), "no": (False, False), "reading": (False, True)}[
        DOCUMENTED[row]
    ] == (reruns, reads)
