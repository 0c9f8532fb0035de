"""Finds images of evaluations that this machine lacks and no registry hands out to it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from snakeval.errors import EvaluationError, Problem
from snakeval.evaluation.definition import Evaluation
from snakeval.jobs.container import installable
from snakeval.run.pins import pinned_name, why_not_pulled
from snakeval.runtimes import Runtime, choose, local_images
from snakeval.runtimes.spec import ContainerSpec

#: No image of a harness fits into less.
_ROOM_BYTES = 2 * 1024**3
#: How many registries are asked at once.
_AT_ONCE = 8


def lacking_images(
    evaluations: Iterable[Evaluation],
    chosen: Callable[[str, str, bool], tuple[Runtime, str]] = choose,
    refused: Callable[[str], tuple[str, str]] = why_not_pulled,
    root: Callable[[], Path | None] = local_images.root,
) -> list[Problem]:
    """Return the images of *evaluations* that are not here and cannot be pulled.

    It asks the engines of this machine, and a registry only about an image that is not here.
    """
    wanted: dict[tuple[str, str, bool], list[Evaluation]] = {}
    for evaluation in evaluations:
        image = pinned_name(evaluation.identity.image, evaluation.identity.image_digest)
        if image:
            key = (evaluation.transport.runtime, image, installable(evaluation))
            wanted.setdefault(key, []).append(evaluation)
    absent = {key: users[0] for key, users in wanted.items() if _is_absent(*key, chosen)}
    if not absent:
        return []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(refused, (image for _, image, _ in absent)))
    problems = [
        Problem(what, f"benchmarks.{evaluation.benchmark}", hint)
        for evaluation, (what, hint) in zip(absent.values(), found, strict=True)
        if what
    ]
    if len(problems) < len(absent) and (place := root()) is not None:
        problems += _without_room(place)
    return problems


def _without_room(place: Path) -> Iterator[Problem]:
    if (free := shutil.disk_usage(place).free) < _ROOM_BYTES:
        what = f"{place} has {free / 1024**3:.1f} GiB free for the images to pull"
        yield Problem(what, "docker", "remove unused images: docker image prune")


def _is_absent(
    runtime: str,
    image: str,
    has_packages: bool,
    chosen: Callable[[str, str, bool], tuple[Runtime, str]],
) -> bool:
    """Whether the runtime would have to pull the image."""
    if image.startswith(("/", "./", "~")) or image.endswith((".sif", ".sqsh")):
        return False  # a file
    try:
        found, _ = chosen(runtime, image, has_packages)
        return found.isolated and not found.has(ContainerSpec("", image, (), ""))
    except EvaluationError:
        return False  # the start reports an engine that does not answer
