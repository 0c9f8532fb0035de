"""Translates configurations of NVIDIA's NeMo Evaluator launcher into snakeval's shape.

The launcher's sections (``execution``, ``deployment``, ``target``, ``evaluation``) become
snakeval's models, benchmarks and params. A file may mix both shapes. The translation ignores
nothing: every key that snakeval cannot honour is an error that names the key. An empty value (null,
an empty mapping) requests nothing. The launcher's documentation:
https://docs.nvidia.com/nemo/evaluator/latest/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snakeval.config.benchmarks import Params
from snakeval.config.nemo_launcher import auxiliary, execution, export, target, tasks
from snakeval.config.nemo_launcher.draft import Draft, fit, in_shape
from snakeval.config.nemo_launcher.where import Where
from snakeval.config.source import Source
from snakeval.config.tokens import refuse_tokens

__all__ = ["Translated", "fit", "translate"]


@dataclass(frozen=True, slots=True)
class Translated:
    """A configuration in snakeval's shape, and how the launcher's file wants it to run.

    Attributes:
        source: the translated configuration.
        profile: the Snakemake profile that ``execution`` names, or an empty string.
        options: options for Snakemake's command line.
        notes: differences between the launcher and snakeval that concern this file.
    """

    source: Source
    profile: str = ""
    options: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def translate(source: Source, name: str) -> Translated:
    """Translate *source* into snakeval's shape.

    The run is called *name* (the file's stem) if the configuration does not name it. The top-level
    ``config.params``, which users of the launcher set on the command line, overrides the parameters
    of every benchmark in both shapes.

    Raises:
        ConfigError: one line for each key that is unknown, wrong, secret or not supported.
    """
    refuse_tokens(source)
    theirs = in_shape(source.data)
    if not theirs and "config" not in source.data:
        return Translated(source)
    draft = Draft(source)
    draft.take_ours()
    where = Where()
    if theirs:
        draft.data.setdefault("name", fit(name))
        where = execution.read(draft)
        target.read_key(draft, where)
        kinds = tasks.read(draft, where, target.endpoint_types(draft))
        target.read(draft, where, kinds)
        auxiliary.read(draft, where)
        export.read(draft, where.auto_export)
    _strongest(draft)
    return Translated(
        draft.source_of_ours(), where.profile, tuple(where.options), tuple(draft.notes)
    )


def _strongest(draft: Draft) -> None:
    """Apply ``config.params`` (``-o +config.params.limit_samples=10``) to every evaluation."""
    draft.only(("config",), draft.section("config"), {"params"})
    params = draft.section("config", "params")
    draft.only(("config", "params"), params, set(Params.model_fields))
    for name, value in params.items():
        draft.layer(("params", name), value, ("config", "params", name))
    benchmarks = draft.data.get("benchmarks")
    for benchmark in benchmarks.values() if isinstance(benchmarks, Mapping) else ():
        if isinstance(benchmark, dict):
            _take_away(benchmark.get("params"), params)
            per_model = benchmark.get("per_model")
            for own in per_model.values() if isinstance(per_model, Mapping) else ():
                _take_away(own, params)


def _take_away(params: Any, stronger: Mapping[str, Any]) -> None:
    """Remove the parameters that *stronger* sets; remove those within ``extra`` key by key."""
    if isinstance(params, dict):
        for name, value in stronger.items():
            if isinstance(value, Mapping) and isinstance(params.get(name), dict):
                _take_away(params[name], value)
            else:
                params.pop(name, None)
