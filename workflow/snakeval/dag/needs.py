"""Finds what evaluations lack besides a model that answers: data sets, tokenizers, tasks.

It reads variables and files of this machine. Only the functions of its caller ask an endpoint or a
harness. Each finding is a warning, since a harness may find elsewhere what is not here.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from snakeval.catalogue import gated, harnesses, server_kinds, task_of, tasks
from snakeval.errors import Problem, nearest
from snakeval.evaluation.definition import Evaluation
from snakeval.files import home
from snakeval.harnesses import lm_eval_tasks

#: The signs of a pattern of tasks.
_PATTERN = frozenset("*?[")
#: Whether the endpoint of an evaluation answers for its tokenizer.
Tokenizes = Callable[[Evaluation], bool]
#: Returns the tasks of the harness of an evaluation; empty if the harness cannot be asked.
TasksOf = Callable[[Evaluation], Collection[str]]


def _asks_no_endpoint(evaluation: Evaluation) -> bool:
    return False


def _asks_no_harness(evaluation: Evaluation) -> Collection[str]:
    return ()


def lacking(
    evaluations: Iterable[Evaluation],
    environment: Mapping[str, str],
    tokenizes: Tokenizes = _asks_no_endpoint,
    tasks_of: TasksOf = _asks_no_harness,
    snapshots: Mapping[str, str] = MappingProxyType({}),
) -> list[Problem]:
    """Return what the *evaluations* lack, each only once.

    *snapshots* has the directories of benchmarks' files by digest. A run that has not started has
    no copy of them.
    """
    found: dict[Problem, None] = {}
    defined = cache(lm_eval_tasks.defined)  # benchmarks on many models have the same files
    for evaluation in evaluations:
        for problem in (
            *_data(evaluation, environment),
            *_tokenizer(evaluation, environment, tokenizes),
            *_tasks(evaluation, _files(evaluation, snapshots), defined, tasks_of),
        ):
            found[problem] = None
    return list(found)


def _data(evaluation: Evaluation, environment: Mapping[str, str]) -> Iterator[Problem]:
    name = gated.data_set(evaluation.identity.task)
    if not name or _is_cached(name, environment):
        return
    where, transport = f"benchmarks.{evaluation.benchmark}", evaluation.transport
    fixed = evaluation.identity.set_env.get(gated.OFFLINE, environment.get(gated.OFFLINE, ""))
    if fixed not in ("", "0"):
        what = f"its data set {name} is not in the cache, and {gated.OFFLINE} is set"
        yield Problem(what, where, f"unset {gated.OFFLINE} for its first run")
        return
    token = environment.get(transport.env.get(gated.VARIABLE, gated.VARIABLE))
    if not (token or evaluation.identity.set_env.get(gated.VARIABLE)):
        if (Path(environment.get("HF_HOME") or "/nowhere") / "token").is_file():
            return  # of `hf auth login`
        hint = f"accept its terms at huggingface.co/datasets/{name}, and export {gated.VARIABLE}"
        yield Problem(
            f"its data set {name} is gated, and ${gated.VARIABLE} is not set", where, hint
        )


def _is_cached(name: str, environment: Mapping[str, str], kind: str = "datasets") -> bool:
    cache = Path(environment.get("HF_HOME") or home() / "cache" / "huggingface")
    return (cache / "hub" / f"{kind}--{name.replace('/', '--')}").is_dir()


def _tokenizer(
    evaluation: Evaluation, environment: Mapping[str, str], tokenizes: Tokenizes
) -> Iterator[Problem]:
    """Report an endpoint whose model id names no tokenizer that lm-eval can load."""
    identity, name = evaluation.identity, evaluation.identity.model_id
    if identity.adapter != "lm-eval" or identity.endpoint_type != "completions":
        return
    arguments = (identity.params.get("extra") or {}).get("model_args") or {}
    given = isinstance(arguments, Mapping) and arguments.keys() & {"tokenizer", "tokenizer_backend"}
    is_offline = environment.get(gated.OFFLINE, "") not in ("", "0")
    has_one = "/" in name and (not is_offline or _is_cached(name, environment, "models"))
    if given or evaluation.transport.tokenizer or has_one or Path(name).is_dir():
        return
    if identity.deployment and _answers_about_tokens(identity.deployment):
        return
    if not identity.deployment and tokenizes(evaluation):
        return
    what = f"lm-eval looks for a tokenizer under the model id '{name}', and finds none"
    if identity.deployment:
        what += " if its server does not answer /tokenizer_info"
    hint = "set params.extra.model_args.tokenizer to a name on the hub or a path"
    yield Problem(what, f"benchmarks.{evaluation.benchmark}", hint)


def _answers_about_tokens(deployment: Mapping[str, Any]) -> bool:
    """Whether snakeval, or the user, starts a server with the route ``/tokenizer_info``."""
    kind = server_kinds().get(str(deployment.get("kind")))
    option = "tokenizer-info"
    return bool(kind and kind.tokenizer_option) or option in str(dict(deployment))


def _files(evaluation: Evaluation, snapshots: Mapping[str, str]) -> str:
    return snapshots.get(evaluation.identity.files_digest, evaluation.transport.files)


def _tasks(
    evaluation: Evaluation, place: str, defined_in: Callable[[str], set[str]], tasks_of: TasksOf
) -> Iterator[Problem]:
    """Report a task that neither lm-eval nor the files of the benchmark in *place* have."""
    identity = evaluation.identity
    if identity.adapter == "nemo":
        yield from _of_catalogue(evaluation)
    if identity.adapter != "lm-eval":
        return
    wanted = str(identity.params.get("task") or identity.task).rpartition("lm-eval.")[2]
    defined = defined_in(place) if place else set()
    absent = [
        name
        for name in wanted.split(",")
        if name and name not in defined and not _is_file(name) and not task_of("lm-eval", name)
    ]
    if not absent:
        return
    where, known = f"benchmarks.{evaluation.benchmark}", {*defined, *tasks_of(evaluation)}
    unknown = [name for name in absent if not fnmatch.filter(known, name)]
    if known > defined:
        for name in unknown:
            yield Problem(f"lm-eval has no task '{name}'", where, nearest(name, sorted(known)))
    elif defined and not _PATTERN & {*absent[0]}:
        what = f"no file in {place} defines the task '{absent[0]}'"
        hint = nearest(absent[0], sorted(defined)) or f"it defines {', '.join(sorted(defined)[:5])}"
        yield Problem(what, where, hint)


def _of_catalogue(evaluation: Evaluation) -> Iterator[Problem]:
    """Report a task that an eval-factory image of the catalogue does not have."""
    identity = evaluation.identity
    harness = harnesses().get(identity.harness)
    if harness is None or identity.image != harness.image or task_of(harness.name, identity.task):
        return  # nothing is known of another image
    known = [task.name for task in tasks() if task.harness == harness.name]
    what = f"{harness.name} has no task '{identity.task}' in {identity.image}"
    yield Problem(what, f"benchmarks.{evaluation.benchmark}", nearest(identity.task, known))


def _is_file(name: str) -> bool:
    return "/" in name or name.endswith((".yaml", ".yml"))
