"""Images that no engine here has and no registry hands out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from snakeval.dag.needed_images import lacking_images
from snakeval.errors import EvaluationError
from snakeval.matrix.expand import expand
from snakeval.runtimes import Runtime
from support.configs import COMMAND, MODEL, config


def test_a_registry_is_asked_once_for_an_image_that_is_not_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = {"b": "r.example/t:1", "c": "r.example/t:1", "d": "here:1", "e": "mine.sif", "f": ""}
    benchmarks = {
        name: COMMAND | ({"image": image} if image else {}) for name, image in images.items()
    }
    content = {"models": {"m": MODEL}, "benchmarks": benchmarks | {"g": COMMAND | NO_ENGINE}}
    asked: list[str] = []

    def chosen(wanted: str, image: str, installable: bool) -> tuple[Runtime, str]:
        if image == "no-engine:1":
            raise EvaluationError("no engine answers")
        made = SimpleNamespace(isolated=True, has=lambda spec: spec.image == "here:1")
        return cast("Runtime", made), ""

    def refused(image: str) -> tuple[str, str]:
        asked.append(image)
        return "r.example requires a login", "docker login r.example"

    evaluations = expand(config(tmp_path, content))
    (problem,) = lacking_images(evaluations, chosen, refused, lambda: None)
    assert str(problem) == "benchmarks.b: r.example requires a login; docker login r.example"
    assert asked == ["r.example/t:1"]

    def pulled(image: str) -> tuple[str, str]:
        return "", ""

    assert lacking_images(evaluations, chosen, pulled, lambda: None) == []
    usage = SimpleNamespace(free=3 * 1024**2)
    monkeypatch.setattr("shutil.disk_usage", lambda place: usage)
    (problem,) = lacking_images(evaluations, chosen, pulled, lambda: tmp_path)
    assert str(problem) == (
        f"docker: {tmp_path} has 0.0 GiB free for the images to pull; remove unused images: docker "
        "image prune"
    )


NO_ENGINE: dict[str, Any] = {"image": "no-engine:1"}


def test_a_process_pulls_nothing(tmp_path: Path) -> None:
    content = {"models": {"m": MODEL}, "benchmarks": {"b": COMMAND | {"image": "r.example/t:1"}}}
    evaluations = expand(config(tmp_path, content))
    process = cast("Runtime", SimpleNamespace(isolated=False))
    refuses = ("requires a login", "")
    assert lacking_images(evaluations, lambda *given: (process, ""), lambda image: refuses) == []
