"""The configuration of a re-score: a run's own, with fewer evaluations and other images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from snakeval.config.source import Source
from snakeval.errors import ConfigError
from snakeval.run.target import Target


def narrow(
    source: Source,
    chosen: Sequence[Target],
    *,
    image: str | None = None,
    version: str | None = None,
) -> None:
    """Change the saved configuration of a run to that of its re-score.

    Only the evaluations that are *chosen* stay. They have another *image*, or another *version* of
    theirs.

    Raises:
        ConfigError: no image fits.
    """
    run = chosen[0].run
    planned = [item for item in run.plan() if not item.left_out]
    own_answers = [p for p in planned if not p.same_as]
    kept = [p for p in own_answers if any(each.covers(p.model, p.benchmark) for each in chosen)]
    benchmarks = source.data["benchmarks"]
    own = {item.benchmark: _without_repeat(item.benchmark, benchmarks) for item in kept}
    if len(kept) < len(planned):
        source.data["include"] = list(dict.fromkeys(f"{p.model}/{own[p.benchmark]}" for p in kept))
    if not (image or version):
        return
    if image and version:
        raise ConfigError("--image and --harness-version: each names an image; remove one")
    option = "--image" if image else "--harness-version"
    if source.data.get("runtime") == "process":
        raise ConfigError(f"{option}: the run has runtime: process, which starts no image")
    identities = {own[p.benchmark]: run.evaluation(p.id).read_identity() for p in kept}
    before = {name: str(identity.get("image") or "") for name, identity in identities.items()}
    if without := [name for name, old in before.items() if not old]:
        raise ConfigError(f"{option}: {', '.join(without)} has no image; choose other evaluations")
    if image and len({*before.values()}) > 1:
        listed = ", ".join(f"{name} has {old}" for name, old in before.items())
        raise ConfigError(f"--image: {listed}; choose evaluations of one image")
    for name, old in before.items():
        benchmarks[name] = dict(benchmarks[name] or {}, image=image or _tagged(old, str(version)))


def _without_repeat(name: str, benchmarks: Mapping[str, Any]) -> str:
    """Return the benchmark of the configuration that has an evaluation of this name."""
    return name if name in benchmarks else name.rpartition("-r")[0]


def _tagged(image: str, tag: str) -> str:
    """Return an image's name with another tag.

    >>> _tagged("host:5000/team/harness:26.03@sha256:0", "26.05"), _tagged("host:5000/it", "2")
    ('host:5000/team/harness:26.05', 'host:5000/it:2')
    """
    repository, colon, old = image.partition("@")[0].rpartition(":")
    return f"{repository if colon and '/' not in old else image.partition('@')[0]}:{tag}"
