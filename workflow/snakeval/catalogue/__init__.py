"""The built-in catalogue of harnesses, their images, and their tasks with default parameters.

The data is in CSV files next to this module. ``eval_factory_tasks.csv`` and the eval-factory rows
of ``harnesses.csv`` are facts about NVIDIA's eval-factory images of release 26.03.
``lm_eval_tasks.csv`` lists well-known tasks of lm-evaluation-harness 0.4.13 with the endpoint types
that their ``output_type`` allows (log-likelihoods require a completions endpoint). ``samples.csv``
lists the number of samples of well-known data sets, from which snakeval estimates durations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from snakeval import plugins
from snakeval.errors import ConfigError, did_you_mean, nearest
from snakeval.files import json_value, yaml_value

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Harness:
    """Software that runs benchmarks.

    Attributes:
        adapter: the name of the adapter that knows its command line.
        image: the default container image; empty for generic commands.
        image_digest: the digest of the image when the catalogue was written, or empty.
        requirements: the file of pinned packages from which ``runtime: process`` builds its
            environment; empty if the harness runs only in a container.
    """

    name: str
    adapter: str
    full_name: str
    source_url: str
    image: str
    image_digest: str
    requirements: str

    @property
    def requirements_file(self) -> Path | None:
        """The absolute path of the pinned requirements, or None."""
        return _HERE / "requirements" / self.requirements if self.requirements else None


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a harness, with its supported endpoint types and its default parameters."""

    harness: str
    name: str
    endpoint_types: tuple[str, ...]
    params_json: str

    @property
    def qualified(self) -> str:
        """The unambiguous name ``harness.task``."""
        return f"{self.harness}.{self.name}"

    @property
    def params(self) -> dict[str, Any]:
        """The default parameters."""
        params: dict[str, Any] = json_value(self.params_json)
        return params


def rows(name: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a table beside this module."""
    import csv  # a job imports this package and reads no table

    with (_HERE / name).open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


@cache
def harnesses() -> dict[str, Harness]:
    """Return every harness by name."""
    return {
        row["harness"]: Harness(
            row["harness"],
            row["adapter"],
            row["full_name"],
            row["source_url"],
            row["image"],
            row["image_digest"],
            row["requirements"],
        )
        for row in rows("harnesses.csv")
    }


@cache
def tasks() -> tuple[Task, ...]:
    """Return every task, in the order of the data files."""
    return tuple(
        Task(
            row["harness"],
            row["task"],
            tuple(row["endpoint_types"].split(",")),
            row["default_params_json"],
        )
        for name in ("lm_eval_tasks.csv", "eval_factory_tasks.csv")
        for row in rows(name)
    )


@cache
def _by_name() -> dict[str, list[Task]]:
    index: dict[str, list[Task]] = {}
    for task in tasks():
        index.setdefault(task.name, []).append(task)
        index.setdefault(task.qualified, []).append(task)
    return index


#: Endings of tasks' names that describe the form of the questions and not the data set.
_VARIANTS = ("_instruct", "_chat", "_cot", "_zeroshot", "_str", "_generate", "_simple_evals")


@cache
def _sizes() -> dict[str, int]:
    return {row["task"]: int(row["samples"]) for row in rows("samples.csv")}


def samples(task: str) -> int | None:
    """Return the number of samples in the data set of *task*, or None if it is unknown.

    >>> samples("ifeval"), samples("gsm8k_cot_instruct"), samples("my_own")
    (541, 1319, None)
    """
    name = task.rpartition(".")[2].lower().replace("-", "_")
    while name not in _sizes():
        ending = next((ending for ending in _VARIANTS if name.endswith(ending)), "")
        if not ending:
            return None
        name = name.removesuffix(ending)
    return _sizes()[name]


@dataclass(frozen=True, slots=True)
class ServerKind:
    """The defaults of a kind of model server.

    ``command`` and the values of ``env`` are templates. The head of ``deployments.yaml`` lists
    their variables.

    Attributes:
        health: answers 200 when the weights are loaded. ``routes``: endpoint type -> path.
        cache, cache_env: the directory of a hub's weights in the container, and its variable.
        secrets: variables of the caller that the server gets if they are set.
        shm_mb: size of /dev/shm in MiB.
        needs_gpus: whether a server has a GPU for each part that the sizes make of it.
        revision_option, tokenizer_option: for a commit on the hub, and for questions about tokens.
        adapter_options, adapter_env: let a server load LoRA adapters; the options are a template.
        adapter_option: loads one at the start, as ``adapter_load`` and ``_unload`` do by requests.
        swap_env: the variables of a server that replaces its weights as vLLM; none if it cannot.
        needs_weights, needs_image: what the user must choose; the image contains the model.
        has_sizes, has_data_parallel: whether the command knows these kinds of parallelism.
    """

    image: str = ""
    command: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    health: str = "/health"
    routes: Mapping[str, str] = field(
        default_factory=lambda: {
            "chat": "/v1/chat/completions",
            "completions": "/v1/completions",
            "embedding": "/v1/embeddings",
        }
    )
    cache: str = "/cache/huggingface"
    cache_env: str = "HF_HOME"
    secrets: tuple[str, ...] = ()
    shm_mb: int = 64
    docs: str = ""
    needs_gpus: bool = True
    revision_option: str = ""
    tokenizer_option: str = ""
    adapter_options: str = ""
    adapter_option: str = ""
    adapter_env: Mapping[str, str] = field(default_factory=dict)
    adapter_load: str = ""
    adapter_unload: str = ""
    swap_env: Mapping[str, str] = field(default_factory=dict)
    needs_weights: bool = False
    needs_image: bool = False
    has_sizes: bool = True
    has_data_parallel: bool = True


@cache
def server_kinds() -> dict[str, ServerKind]:
    """Return the built-in kinds of model servers by name."""
    data = yaml_value((_HERE / "deployments.yaml").read_text(encoding="utf-8"))
    return {
        name: ServerKind(**{**facts, "secrets": tuple(facts["secrets"])})
        for name, facts in data.items()
    }


def server_kind_names() -> list[str]:
    """Return the names of all kinds of model servers, built-in ones first."""
    known = server_kinds()
    return [*known, *sorted(set(plugins.installed(plugins.DEPLOYMENTS)) - set(known))]


def server_kind(name: str) -> ServerKind:
    """Return a kind of model server, built in or installed (``snakeval.deployments``).

    Raises:
        UnknownPlugin: no kind has that name; the hint suggests the nearest one.
        ConfigError: the package of the kind cannot be imported, or provides something else.
    """
    if (known := server_kinds().get(name)) is not None:
        return known
    if name not in plugins.installed(plugins.DEPLOYMENTS):
        names = server_kind_names()
        hint = nearest(name, names) or f"choose one of {', '.join(names)}"
        raise plugins.UnknownPlugin(f"no deployment kind '{name:.60}'", hint=hint)
    found = plugins.load(plugins.DEPLOYMENTS, name)
    if not isinstance(found, ServerKind):
        raise ConfigError(
            f"{plugins.installed(plugins.DEPLOYMENTS)[name].value} is no ServerKind",
            where=name,
            hint=plugins.FIX,
        )
    return found


def find_harness(name: str) -> Harness:
    """Return a harness by name, built in or installed (``snakeval.harnesses``).

    Raises:
        ConfigError: no harness has that name; the message suggests the nearest one.
    """
    if (known := harnesses().get(name)) is not None:
        return known
    if name not in plugins.installed(plugins.HARNESSES):
        names = [*harnesses(), *plugins.installed(plugins.HARNESSES)]
        raise ConfigError(
            f"no harness '{name}' in the catalogue"
            f"{did_you_mean(name, names) or '; for a custom command use harness: generic'}"
        )
    return _installed_harness(name)


@cache
def _installed_harness(name: str) -> Harness:
    """Return the facts of an installed adapter, which its module may define as constants."""
    adapter = plugins.load(plugins.HARNESSES, name)
    return Harness(
        name,
        adapter=name,
        full_name=getattr(adapter, "FULL_NAME", name),
        source_url=getattr(adapter, "SOURCE_URL", ""),
        image=getattr(adapter, "IMAGE", ""),
        image_digest="",
        requirements=str(getattr(adapter, "REQUIREMENTS", "")),
    )


def task_of(harness: str, name: str) -> Task | None:
    """Return the task *name* of *harness*, or None if the catalogue does not list it."""
    found = _by_name().get(f"{harness}.{name}")
    return found[0] if found else None


def preferred(found: Sequence[Task]) -> Task | None:
    """Return upstream's own of equally named tasks: it requires no vendor's image.

    None if there are several, and none is upstream's.
    """
    upstream = [task for task in found if task.harness == "lm-eval"]
    return (upstream or found)[0] if upstream or len(found) == 1 else None


def find_task(name: str) -> Task:
    """Return a task by ``task`` or ``harness.task``.

    Raises:
        ConfigError: no task has that name (the message suggests the nearest), or several harnesses
            share it (the message lists their qualified names).
    """
    found = _by_name().get(name, [])
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(task.qualified for task in found)
        raise ConfigError(f"several harnesses have a task '{name}'; write one of {names}")
    hint = did_you_mean(name, _by_name()) or "; "
    raise ConfigError(
        f"no task '{name}' in the catalogue{hint}{'' if hint.endswith(' ') else ' '}"
        "(for a task that it does not list, set `harness` and `task`)"
    )
