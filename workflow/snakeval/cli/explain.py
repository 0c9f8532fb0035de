"""Shows the resolved parameters of an evaluation, and where each value comes from.

python -m snakeval.cli.explain [--configfile FILE ...] MODEL/BENCHMARK
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from snakeval.config.load import load
from snakeval.config.source import Source
from snakeval.config.usual import SHARED, usual
from snakeval.errors import ConfigError, did_you_mean
from snakeval.evaluation.definition import TRANSPORT_PARAMS, Evaluation
from snakeval.matrix.expand import expand
from snakeval.series.load import Expansion


def explain(evaluation: Evaluation, source: Source) -> list[tuple[str, str, str]]:
    """Return (parameter, value as JSON, origin) in the order of their names.

    An origin is the layer (default, catalogue, run, benchmark, benchmark on model). If a user
    wrote the value, the origin also contains its file and key.
    """
    written_below = {
        "run": ("params",),
        "benchmark": ("benchmarks", evaluation.benchmark, "params"),
        "benchmark on model": (
            "benchmarks",
            evaluation.benchmark,
            "per_model",
            evaluation.model,
        ),
    }
    transport = {name: getattr(evaluation.transport, name) for name in TRANSPORT_PARAMS}
    rows = []
    for path, value in _leaves({**evaluation.identity.params, **transport}):
        name = ".".join(path)
        layer = origin = evaluation.origins.get(name, "")
        if layer in written_below:
            key = (*written_below[layer], *path)
            origin = f"{layer} ({source.origin(key)}: {'.'.join(key)})"
        if origin:  # an empty mapping has no origin
            rows.append((name, json.dumps(value), origin))
    return sorted(rows)


def _leaves(
    values: Mapping[str, Any], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the parameters; return 0, or 2 on bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m snakeval.cli.explain",
        description="Show an evaluation's resolved parameters.",
    )
    parser.add_argument(
        "--configfile", nargs="+", type=Path, default=[usual() or SHARED], metavar="FILE"
    )
    parser.add_argument("evaluation", metavar="MODEL/BENCHMARK")
    options = parser.parse_args(arguments)
    try:
        config, _, source = load(options.configfile, {}, Expansion(waits=False))
        evaluations = {evaluation.id: evaluation for evaluation in expand(config)}
        if options.evaluation not in evaluations:
            hint = did_you_mean(options.evaluation, evaluations) or f" in {options.configfile[0]}"
            raise ConfigError(f"no evaluation '{options.evaluation}'{hint}")
    except ConfigError as error:
        print(f"snakeval: {error}", file=sys.stderr)
        return 2
    evaluation = evaluations[options.evaluation]
    rows = [("parameter", "value", "from"), *explain(evaluation, source)]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, origin in rows:
        print(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {origin}")
    print(f"\nfingerprint {evaluation.fingerprint}, of everything that determines the scores")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `… | head` ends it quietly
    sys.exit(main())
