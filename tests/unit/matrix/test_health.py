"""The rules of an evaluation come from its benchmark, its model and the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snakeval.matrix.expand import expand
from support.configs import config


def test_the_benchmark_wins_over_the_model_and_the_model_over_the_run(tmp_path: Path) -> None:
    def endpoint(name: str, **more: Any) -> dict[str, Any]:
        return {"endpoint": {"url": f"http://{name}/v1", "model_id": name, **more}}

    content = {
        "health": {"cut": "fail", "empty": "fail", "refused": "fail"},
        "models": {"a": endpoint("a"), "b": {**endpoint("b"), "health": {"cut": "ignore"}}},
        "auxiliary": {"judge": endpoint("j", answers_as="j-2026")},
        "benchmarks": {
            "plain": {"task": "lm-eval.ifeval"},
            "own": {
                "task": "lm-eval.ifeval",
                "auxiliary": ["judge"],
                "health": {"empty": {"warn": 3}},
            },
        },
    }
    found = {e.id: e.transport for e in expand(config(tmp_path, content))}
    fail = {"fail": 0.01}
    assert found["a/plain"].health == {"cut": fail, "empty": fail, "refused": fail}
    assert found["b/own"].health == {"cut": {}, "empty": {"warn": 3}, "refused": fail}
    assert found["a/plain"].answers_as == {}
    assert found["a/own"].answers_as == {"judge": "j-2026"}
