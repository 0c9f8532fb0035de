"""Sections of installed executors in a configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snakeval.config.compose import text
from snakeval.config.load import load
from snakeval.errors import ConfigError
from snakeval.matrix.expand import deployments
from snakeval.serving.deployment import Deployment
from support.configs import VALID, changed, write
from support.packages import package

FLEET = """
from pydantic import BaseModel, ConfigDict, Field
from snakeval.executors.base import Executor


class Jobs(BaseModel):
    model_config = ConfigDict(extra="forbid")
    queue: str = "all"


class Endpoint(BaseModel):
    model_config = ConfigDict(extra="forbid")
    replicas: int = Field(default=1, ge=1)
    zone: str = ""


class Fleet(Executor):
    name = "fleet"

    def options(self):
        return Jobs

    def deployment_options(self):
        return Endpoint


class Plain(Executor):
    name = "plain"
"""


@pytest.fixture(autouse=True)
def fleet(tmp_path: Path) -> Iterator[None]:
    """A package with an executor with sections, one without, and one that fails to import."""
    points = {"fleet": "fleet:Fleet", "plain": "fleet:Plain", "torn": "torn:Torn"}
    files = {"fleet.py": FLEET, "torn.py": "raise OSError('no driver')\n"}
    with package(tmp_path / "site", {"snakeval.executors": points}, files, "fleet"):
        yield


def served(**sections: Any) -> dict[str, Any]:
    spec = {"kind": "vllm", "hf_model_handle": "o/m", **sections}
    return VALID | {"models": {"m": {"deployment": spec}}}


def test_a_deployment_carries_the_section_of_an_installed_executor(tmp_path: Path) -> None:
    config = load([write(tmp_path, served(fleet={"replicas": 3}))])[0]
    (deployment,) = deployments(config).values()
    assert deployment.serving.executors == {"fleet": {"replicas": 3}}
    assert Deployment.from_dict(deployment.as_dict()) == deployment
    again = load([write(tmp_path, text(config), "saved.yaml")])[0]
    assert deployments(again) == {"m": deployment}


def test_without_such_a_section_a_deployment_is_what_earlier_versions_wrote(tmp_path: Path) -> None:
    (deployment,) = deployments(load([write(tmp_path, served())])[0]).values()
    assert "executors" not in deployment.as_dict()["serving"]
    assert Deployment.from_dict(deployment.as_dict()) == deployment


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (served(fleet={"replicas": 0}), "deployment.fleet.replicas: input should be greater than"),
        (served(fleet={"repl": 1}), "deployment.fleet.repl: extra inputs are not permitted"),
        (served(fleat={}), "deployment: unknown key 'fleat'; did you mean 'fleet'?"),
        (served(plain={}), "deployment: unknown key 'plain'; "),
        (served(imag="x"), "deployment: unknown key 'imag'; did you mean 'image'?"),
        (served(torn={}), "deployment: torn: torn:Torn cannot be imported (no driver); fix the"),
        (changed("execution", to={"fleet": {"queue": 1}}), "execution.fleet.queue: input should"),
        (changed("execution", to={"flet": {}}), "execution: unknown key 'flet'; did you mean 'fl"),
        (
            changed("execution", to={"plain": {}}),
            "execution: unknown key 'plain'; choose one of fle",
        ),
        (changed("execution", to={"torn": {}}), "execution: torn: torn:Torn cannot be imported ("),
    ],
)
def test_a_wrong_section_is_one_sentence_that_names_file_and_key(
    tmp_path: Path, content: dict[str, Any], sentence: str
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(ConfigError) as caught:
        load([path])
    (line,) = str(caught.value).splitlines()
    assert line.removeprefix(f"{path}: ").removeprefix("models.m.").startswith(sentence)
