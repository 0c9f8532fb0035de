"""NVIDIA's eval-factory contract: every harness of its images behind one command line.

``nemo-evaluator run_eval --run_config FILE`` in, ``results.yml`` out
(https://docs.nvidia.com/nemo/evaluator/latest/, nemo-evaluator 0.2.8).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from snakeval.completion import Metric
from snakeval.errors import EvaluationError
from snakeval.evaluation import TRANSPORT_PARAMS, Evaluation
from snakeval.harnesses import Command, Paths, number, optional_count, optional_number

PARSER_VERSION = 1
CACHES = ("cache/*", "lm_cache_rank*", "*/lm_cache_rank*")

_API_KEY = "SNAKEVAL_API_KEY"


def command(evaluation: Evaluation, paths: Paths) -> Command:
    """Return the command line; all parameters go into the run configuration file.

    A file rather than ``--overrides``, whose commas and quotes a value could break.
    """
    identity, transport = evaluation.identity, evaluation.transport
    params = {k: v for k, v in identity.params.items() if v is not None}
    params |= {key: getattr(transport, key) for key in sorted(TRANSPORT_PARAMS)}
    endpoint: dict[str, Any] = {
        "url": paths.endpoint_url,
        "model_id": identity.model_id,
        "type": identity.endpoint_type,
    }
    if transport.api_key_name:
        endpoint["api_key_name"] = _API_KEY
    run_config = {
        "config": {
            "type": f"{identity.harness}.{identity.task}",
            "output_dir": paths.results,
            "params": params,
        },
        "target": {"api_endpoint": endpoint},
    }
    secrets = {_API_KEY: transport.api_key_name} if transport.api_key_name else {}
    return Command(
        ("nemo-evaluator", "run_eval", "--run_config", f"{paths.inputs}/run_config.yml"),
        env={"PYTHONUNBUFFERED": "1", "NEMO_EVALUATOR_TELEMETRY_LEVEL": "0"},
        secrets=secrets,
        inputs={"run_config.yml": yaml.safe_dump(run_config, sort_keys=True)},
    )


def metrics(evaluation: Evaluation, artifacts: Path) -> tuple[Metric, ...]:
    """Read ``results.yml``: tasks and groups, each metric with its scores."""
    path = artifacts / "results.yml"
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_loader())
    except FileNotFoundError:
        raise EvaluationError("the harness wrote no results.yml; see its log") from None
    except (yaml.YAMLError, ValueError) as error:
        raise EvaluationError(f"results.yml does not parse: {str(error)[:200]}") from None
    try:
        results = data["results"]
        return (
            *_sections(results.get("tasks") or {}),
            *_sections(results.get("groups") or {}),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise EvaluationError(f"results.yml is no results file: {error!r}") from None


def _loader() -> type[yaml.SafeLoader]:
    """The C loader where PyYAML was built with it: ten times quicker on large results."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _sections(sections: dict[str, Any]) -> Iterator[Metric]:
    for name, section in sections.items():
        for metric, result in (section.get("metrics") or {}).items():
            for score, entry in (result.get("scores") or {}).items():
                stats = entry.get("stats") or {}
                yield Metric(
                    str(name),
                    str(metric),
                    number(entry.get("value"), f"{name}: {metric}.{score}"),
                    str(score) if score != metric else "",
                    optional_number(stats.get("stderr")),
                    optional_count(stats.get("count")),
                )
        # A group holds its members' groups; a task that belongs to it is listed by itself.
        yield from _sections(section.get("groups") or {})
