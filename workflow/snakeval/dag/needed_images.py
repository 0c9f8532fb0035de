"""Finds images of evaluations that this machine lacks and no registry hands out to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from snakeval.errors import EvaluationError, Problem
from snakeval.evaluation.definition import Evaluation
from snakeval.jobs.container import installable
from snakeval.run.pins import pinned_name, why_not_pulled
from snakeval.runtimes import Runtime, choose
from snakeval.runtimes.spec import ContainerSpec

#: How many registries are asked at once.
_AT_ONCE = 8


def lacking_images(
    evaluations: Iterable[Evaluation],
    chosen: Callable[[str, str, bool], tuple[Runtime, str]] = choose,
    refused: Callable[[str], tuple[str, str]] = why_not_pulled,
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
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(refused, (image for _, image, _ in absent)))
    return [
        Problem(what, f"benchmarks.{evaluation.benchmark}", hint)
        for evaluation, (what, hint) in zip(absent.values(), found, strict=True)
        if what
    ]


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
