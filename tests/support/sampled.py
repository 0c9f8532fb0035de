"""A run's directory made by hand whose evaluations logged their samples."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from snakeval.config.compose import text
from snakeval.evaluation.definition import Evaluation, digest
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.record import Metric
from snakeval.matrix.expand import expand
from snakeval.results.report.content import Facts, collect
from snakeval.results.report.samples import Shelves
from snakeval.run.directory import RunDirectory
from snakeval.run.find import identity
from snakeval.run.index import Entry, remember
from snakeval.run.plan import Planned
from support.configs import config
from support.made import begin, completion

SAMPLES = {
    "file": "samples.jsonl",
    "id": "id",
    "scores": {"acc": "acc"},
    "question": "question",
    "answer": "answer",
    "reference": "reference",
}
BENCHMARK: dict[str, Any] = {
    "harness": "generic",
    "command": "true",
    "metrics": {
        "file": "f.json",
        "values": {"acc": {"value": "acc", "n": "n"}},
        "samples": SAMPLES,
    },
}


class Sampled:
    """A run whose models × benchmarks are *scores*, each a list of samples' scores or items.

    A benchmark without a list has not finished. A model `run@200` is a checkpoint of a series.
    """

    def __init__(
        self,
        directory: Path,
        scores: Mapping[str, Mapping[str, Sequence[Any] | None]],
        id: str = "",
        name: str = "named",
        started: str = "2026-01-02-03-04-05",
        url: str = "http://host/v1",
        **benchmark: Any,
    ) -> None:
        names = (name for found in scores.values() for name in found if "-r" not in name)
        if any("group" in item for item in _dicts(scores)):
            samples = SAMPLES | {"group": "group"}
            benchmark["metrics"] = BENCHMARK["metrics"] | {"samples": samples}
        rows = dict.fromkeys(names, BENCHMARK | benchmark)
        models = {m: _model(m, url) for m in scores}
        content = {"name": name, "models": models, "benchmarks": rows}
        made = config(directory, content)
        self.evaluations = {e.id: e for e in expand(made)}
        id = id or digest(identity(made))[:8]
        self.path = directory / f"{started}-{id}"
        self.directory = RunDirectory(self.path)
        plan = [Planned(e.model, e.benchmark, e.fingerprint) for e in self.evaluations.values()]
        self.directory.write_plan(plan)
        self.directory.write_origin({"id": id, "identity": identity(made), "snakeval": "0"})
        self.directory.write_config(text(made), "0.1.0")
        remember(Entry(id, name, str(self.path), str(directory), ("snakemake",), "1"))
        for evaluation in self.evaluations.values():
            if (found := scores[evaluation.model].get(evaluation.benchmark)) is not None:
                self._complete(evaluation, found)

    def __getitem__(self, id: str) -> EvaluationDirectory:
        return self.directory.evaluation(id)

    def complete(self, id: str, scores: Sequence[Any]) -> None:
        """Finish an evaluation, or evaluate it again."""
        self._complete(self.evaluations[id], scores)

    def bare(self, id: str, value: float) -> None:
        """Finish an evaluation whose harness logged a score alone."""
        place, evaluation = self[id], self.evaluations[id]
        begin(place, evaluation.fingerprint)
        place.spec.write_text(evaluation.to_json())
        (place.artifacts / "f.json").write_text(json.dumps({"acc": value}))
        metric = Metric(evaluation.identity.task, "acc", value, higher_is_better=True)
        place.complete(completion(evaluation, place, (metric,)))

    def logged(self, id: str, more: bytes, stderr: float | None = None) -> None:
        """Let the harness of an evaluation have logged *more* bytes after its samples."""
        place, evaluation = self[id], self.evaluations[id]
        done = place.completion(evaluation.fingerprint)
        assert done is not None
        with (place.artifacts / "samples.jsonl").open("ab") as file:
            file.write(more)
        metrics = tuple(replace(metric, stderr=stderr) for metric in done.metrics)
        place.complete(replace(done, metrics=metrics, manifest=place.manifest()))

    def _complete(self, evaluation: Evaluation, found: Sequence[Any]) -> None:
        place = self[evaluation.id]
        begin(place, evaluation.fingerprint)
        place.spec.write_text(evaluation.to_json())
        total = 0.0
        with (place.artifacts / "samples.jsonl").open("w") as file:
            for item in _items(found):
                file.write(json.dumps(item) + "\n")
                total += item["acc"] or 0.0  # this harness calls an ungraded item wrong
        value = total / len(found)
        (place.artifacts / "f.json").write_text(json.dumps({"acc": value, "n": len(found)}))
        metric = Metric(evaluation.identity.task, "acc", value, n=len(found), higher_is_better=True)
        record = completion(evaluation, place, (metric,))
        # The hosts tell two runs apart that a test makes within one second.
        host = self.directory.id
        place.complete(replace(record, manifest=place.manifest(), host=host))


def facts_of(run: Sampled) -> Facts:
    """Return the content of the run's report."""
    return collect([run.directory], Shelves(run.directory.report_samples), run.directory.report)


def _model(name: str, url: str) -> dict[str, Any]:
    """Return a model; the name of a checkpoint, such as `run@200`, has its place in its series."""
    series, mark, step = name.partition("@")
    member = {"series": series, "values": {"step": step}, "axis": "step"}
    endpoint = {"url": url, "model_id": name}
    return {"endpoint": endpoint, **({"member": member} if mark else {})}


def _dicts(scores: Mapping[str, Mapping[str, Sequence[Any] | None]]) -> Iterator[dict[str, Any]]:
    lists = (items for found in scores.values() for items in found.values())
    yield from (item for items in lists for item in items or () if isinstance(item, dict))


def _items(found: Sequence[Any]) -> Iterator[dict[str, Any]]:
    for number, item in enumerate(found):
        base = {"id": f"q{number}", "question": f"Question {number}?", "answer": "42"}
        yield base | ({"acc": float(item)} if isinstance(item, (int, float)) else item)


def answers(n: int, right: float, seed: int) -> list[int]:
    """Scores of *n* samples of which about this part is right."""
    chosen = random.Random(seed)
    return [int(chosen.random() < right) for _ in range(n)]
