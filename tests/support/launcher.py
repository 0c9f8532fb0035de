"""Configurations in the shape of NVIDIA's launcher, and what snakeval makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snakeval.config.compose import compose
from snakeval.config.config import Config
from snakeval.config.load import check
from snakeval.config.models import Deployment
from snakeval.config.nemo_launcher import Translated, translate
from support.configs import write

TARGET = {"api_endpoint": {"url": "http://host/v1/chat/completions", "model_id": "org/m-1"}}
TASKS = {"tasks": [{"name": "ifeval"}]}


def translated(place: Path, content: dict[str, Any], *overrides: str) -> Translated:
    defaults = [{"execution": "local"}, {"deployment": "none"}, "_self_"]
    write(place, {"defaults": defaults, **content})
    return translate(compose(place, "c", overrides), "c")


def made(place: Path, content: dict[str, Any], *overrides: str) -> Config:
    return check(translated(place, content, *overrides).source)


def evaluated(place: Path, *tasks: dict[str, Any], **evaluation: Any) -> Config:
    return made(place, {"target": TARGET, "evaluation": {"tasks": list(tasks), **evaluation}})


def served(place: Path, deployment: dict[str, Any], **more: Any) -> Config:
    content = {"deployment": deployment, "evaluation": TASKS, **more}
    return made(place, content, f"deployment={deployment['type']}")


def read(place: Path, content: dict[str, Any]) -> Translated:
    """Translate a file without `defaults`, which takes Hydra no time; it has no groups."""
    write(place, content)
    return translate(compose(place, "c"), "c")


def plain(place: Path, content: dict[str, Any]) -> Config:
    return check(read(place, content).source)


def server(place: Path, deployment: dict[str, Any], *overrides: str, **more: Any) -> Deployment:
    """The deployment of the only model of a file, which Hydra composes if it has overrides."""
    content = {"deployment": deployment, "evaluation": TASKS, **more}
    kind = f"deployment={deployment['type']}"
    config = made(place, content, kind, *overrides) if overrides else plain(place, content)
    (model,) = config.models.values()
    assert model.deployment is not None
    return model.deployment
