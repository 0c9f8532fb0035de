"""Marks beside results: facts about the definition behind a score.

=================================  =============================================================
mark                               meaning
=================================  =============================================================
earlier fingerprint format         an earlier snakeval made the result, see docs/results.md
image known by its tag             the registry was not reachable when the run pinned its images
weights known by stat              of the model, snakeval compared sizes and times, not contents
samples may be equal               several samples of a question shared the seed of their requests
defined differently than MODEL     the benchmark's row compares results of two definitions
=================================  =============================================================
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from snakeval.errors import EvaluationError
from snakeval.evaluation.canonical import canonical_template
from snakeval.evaluation.definition import changes, digest
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.record import LEDGER, Completion
from snakeval.files import json_value, write_if_changed
from snakeval.harnesses.several import MAY_BE_EQUAL, may_be_equal

EARLIER = "earlier fingerprint format"
BY_TAG = "image known by its tag"
BY_STAT = "weights known by stat"
#: The adapters whose harnesses write the results of lm-evaluation-harness.
_LM_EVAL = frozenset({"lm-eval", "nemo"})


def marks(directory: EvaluationDirectory, done: Completion) -> list[str]:
    """Return the marks of a finished evaluation by itself."""
    return list(_marks(directory, done))


def _marks(directory: EvaluationDirectory, done: Completion) -> Iterator[str]:
    identity = done.identity
    is_earlier = identity.get("format") == 1
    if is_earlier:
        yield EARLIER
    elif identity.get("image") and not identity.get("image_digest") and done.runtime != "process":
        yield BY_TAG
    if str((identity.get("deployment") or {}).get("weights", "")).startswith("stat:"):
        yield BY_STAT
    # A gateway gives equal requests different seeds.
    in_doubt = LEDGER not in done.versions and done.adapter in _LM_EVAL
    in_doubt = in_doubt and (is_earlier or _sets_seed(identity))
    if in_doubt and _shares_a_seed(directory, done):
        yield MAY_BE_EQUAL


def _sets_seed(identity: Mapping[str, Any]) -> bool:
    params = identity.get("params") or {}
    generation = (params.get("extra") or {}).get("gen_kwargs")
    return params.get("seed") is not None or (
        isinstance(generation, Mapping) and generation.get("seed") is not None
    )


def _shares_a_seed(directory: EvaluationDirectory, done: Completion) -> bool:
    """Whether the results have several samples with one seed; read once."""
    cache = directory.cache("seeds", done.fingerprint, done.attempt)
    with contextlib.suppress(OSError, ValueError):
        return json_value(cache.read_bytes()) is True
    try:
        found = may_be_equal(directory.artifacts)
    except (EvaluationError, OSError, ValueError):
        return False  # the scores cannot be read either, which the table says
    with contextlib.suppress(OSError):  # the user can read this run but not write it
        write_if_changed(cache, json.dumps(found))
    return found


class Definitions:
    """The definitions of benchmarks, from which it is clear whether a row mixes two of them."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str], str] = {}
        self._known: dict[str, dict[str, Any]] = {}

    def add(self, model: str, benchmark: str, done: Completion) -> None:
        """Note the definition of a finished evaluation."""
        data = _definition(done)
        key = digest(data)
        self._known.setdefault(key, data)
        self._of[model, benchmark] = key

    def mixed(self) -> dict[tuple[str, str], str]:
        """Return a mark for each evaluation whose definition is not the usual one of its row."""
        rows: dict[str, list[tuple[str, str]]] = {}
        for (model, benchmark), key in self._of.items():
            rows.setdefault(benchmark, []).append((model, key))
        found = {}
        for benchmark, row in rows.items():
            usual, _ = Counter(key for _, key in row).most_common(1)[0]
            first = next(model for model, key in row if key == usual)
            for model, key in row:
                if names := self._differ(usual, key):
                    found[model, benchmark] = f"defined differently than {first}: {names}"
        return found

    def _differ(self, one: str, other: str) -> str:
        if one == other:
            return ""
        before, after = dict(self._known[one]), dict(self._known[other])
        # Without a container there is no digest, so the names of the images must do.
        known = before["image_digest"] and after["image_digest"]
        for data in (before, after):
            del data["image" if known else "image_digest"]
        names = [line.partition(":")[0].removesuffix(" changed") for line in changes(before, after)]
        return ", ".join(names[:3])


def _definition(done: Completion) -> dict[str, Any]:
    """Return how a benchmark is defined, without its model, alike in all formats."""
    identity = done.identity
    params = identity.get("params") or {}
    return {
        "harness": identity.get("harness"),
        "task": identity.get("task"),
        "params": {k: v for k, v in params.items() if v is not None and v != {}},
        "files_digest": identity.get("files_digest") or "",
        "packages": sorted(identity.get("packages") or ()),
        "command": canonical_template(identity.get("command") or ""),
        "metrics": identity.get("metrics") or {},
        "auxiliary": {
            name: {key: model.get(key) for key in ("model_id", "endpoint_url")}
            for name, model in (identity.get("auxiliary") or {}).items()
        },
        "image": identity.get("image") or "",
        "image_digest": done.image_digest or identity.get("image_digest") or "",
    }
