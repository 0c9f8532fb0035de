"""Finds what evaluations lack besides a model that answers: data sets, tokenizers, own tasks.

It reads variables and files of this machine and sends nothing. Each finding is a warning, since a
harness may find elsewhere what is not here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from snakeval.catalogue import gated, task_of
from snakeval.errors import Problem, nearest
from snakeval.evaluation.definition import Evaluation
from snakeval.files import home

#: The key that names a task, a group or a tag in a file of lm-eval, which has tags of its own.
_DEFINED = re.compile(
    r"^(?:task|group|tag): *[\"']?(?P<name>[\w.+-]+)[\"']? *(?:#.*)?$", re.MULTILINE
)
#: Files of lm-eval's tasks are small.
_READ = 1 << 16


def lacking(evaluations: Iterable[Evaluation], environment: Mapping[str, str]) -> list[Problem]:
    """Return what the *evaluations* lack, each only once."""
    found: dict[Problem, None] = {}
    defined = cache(_defined)  # benchmarks on many models have the same files
    for evaluation in evaluations:
        for problem in (
            *_data(evaluation, environment),
            *_tokenizer(evaluation, environment),
            *_own_tasks(evaluation, defined),
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


def _tokenizer(evaluation: Evaluation, environment: Mapping[str, str]) -> Iterator[Problem]:
    """Report an endpoint whose model id names no tokenizer that lm-eval can load."""
    identity, name = evaluation.identity, evaluation.identity.model_id
    if identity.adapter != "lm-eval" or identity.endpoint_type != "completions":
        return
    arguments = (identity.params.get("extra") or {}).get("model_args") or {}
    given = isinstance(arguments, Mapping) and arguments.keys() & {"tokenizer", "tokenizer_backend"}
    is_offline = environment.get(gated.OFFLINE, "") not in ("", "0")
    has_one = "/" in name and (not is_offline or _is_cached(name, environment, "models"))
    if given or identity.deployment or has_one or Path(name).is_dir():
        return
    what = f"lm-eval looks for a tokenizer under the model id '{name}', and finds none"
    hint = "set params.extra.model_args.tokenizer to a name on the hub or a path"
    yield Problem(what, f"benchmarks.{evaluation.benchmark}", hint)


def _own_tasks(evaluation: Evaluation, defined_in: Callable[[Path], set[str]]) -> Iterator[Problem]:
    """Report a task that is neither one of lm-eval's known ones nor in the benchmark's files."""
    identity, place = evaluation.identity, evaluation.transport.files
    if identity.adapter != "lm-eval" or not place:
        return
    wanted = str(identity.params.get("task") or identity.task).rpartition("lm-eval.")[2]
    if task_of("lm-eval", wanted) is not None:
        return
    defined = defined_in(Path(place))
    absent = [name for name in wanted.split(",") if name and name not in defined]
    if defined and absent:
        what = f"no file in {place} defines the task '{absent[0]}'"
        hint = nearest(absent[0], sorted(defined)) or f"it defines {', '.join(sorted(defined)[:5])}"
        yield Problem(what, f"benchmarks.{evaluation.benchmark}", hint)


def _defined(place: Path) -> set[str]:
    found: set[str] = set()
    for folder, _, names in os.walk(place):
        for name in names:
            if name.endswith((".yaml", ".yml")):
                with Path(folder, name).open(encoding="utf-8", errors="replace") as file:
                    found.update(each["name"] for each in _DEFINED.finditer(file.read(_READ)))
    return found
