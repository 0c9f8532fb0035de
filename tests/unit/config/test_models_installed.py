"""Server kinds and executors of other packages in a configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snakeval.config import models
from snakeval.config.compose import compose, text
from snakeval.config.config import Config
from snakeval.config.load import check, load
from snakeval.config.nemo_launcher import translate
from snakeval.errors import ConfigError
from snakeval.matrix.expand import deployments
from support.configs import VALID, write
from support.packages import example, package

TASKS = {"tasks": [{"name": "ifeval"}]}
KINDS = """
from snakeval.catalogue import ServerKind
HEAVY = ServerKind(
    command="serve {{ model }}", needs_weights=True, has_sizes=False, has_data_parallel=False
)
LIGHT = ServerKind(command="serve", needs_gpus=False, has_sizes=False)
BOXED = ServerKind(needs_image=True)
OTHER = "no kind"
"""


@pytest.fixture
def parrot(tmp_path: Path) -> Iterator[None]:
    with example(tmp_path / "site"):
        yield


@pytest.fixture
def kinds(tmp_path: Path) -> Iterator[None]:
    """A package with three good kinds, one that is something else, and one that fails to import."""
    points = {
        "heavy": "kinds:HEAVY",
        "light": "kinds:LIGHT",
        "boxed": "kinds:BOXED",
        "other": "kinds:OTHER",
        "torn": "torn:KIND",
    }
    files = {"kinds.py": KINDS, "torn.py": "raise RuntimeError('no driver')\n"}
    with package(tmp_path / "site", {"snakeval.deployments": points}, files, "kinds"):
        yield


def served(**spec: Any) -> dict[str, Any]:
    return VALID | {"models": {"m": {"deployment": spec}}}


def launched(place: Path, content: dict[str, Any], *overrides: str) -> Config:
    """The configuration of a file in the shape of NVIDIA's launcher."""
    defaults = [{"execution": "local"}, {"deployment": "none"}, "_self_"]
    write(place, {"defaults": defaults, "evaluation": TASKS, **content})
    return check(translate(compose(place, "c", overrides), "c").source)


def only(config: Config) -> models.Deployment:
    (model,) = config.models.values()
    assert model.deployment is not None
    return model.deployment


def error(place: Path, content: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        load([write(place, content)])
    (line,) = str(caught.value).splitlines()
    return line.removeprefix(f"{place}/")


# --- a model's `deployment` -------------------------------------------------------------------


@pytest.mark.usefixtures("parrot")
def test_a_model_is_served_by_an_installed_kind(tmp_path: Path) -> None:
    config = load([write(tmp_path, served(kind="parrot", extra_args="-v"))])[0]
    (deployment,) = deployments(config).values()
    assert deployment.definition.command.startswith("python3 -m snakeval_example.parrot")
    assert (deployment.serving.health_path, deployment.serving.gpus) == ("/health", 0)
    again = load([write(tmp_path, text(config), "saved.yaml")])[0]
    assert deployments(again) == {"m": deployment}


@pytest.mark.usefixtures("parrot")
def test_an_unknown_kind_suggests_an_installed_one(tmp_path: Path) -> None:
    assert error(tmp_path, served(kind="parot")) == (
        "c.yaml: models.m.deployment.kind: no deployment kind 'parot'; did you mean 'parrot'?"
    )
    assert error(tmp_path, served(kind="triton")) == (
        "c.yaml: models.m.deployment.kind: no deployment kind 'triton'; "
        "choose one of vllm, sglang, nim, trtllm, llamacpp, generic, parrot"
    )


def test_without_its_package_a_kind_is_unknown(tmp_path: Path) -> None:
    assert "no deployment kind 'parrot'; choose one of vllm" in error(
        tmp_path, served(kind="parrot")
    )


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"kind": "heavy"}, "deployment: kind heavy requires weights; add checkpoint_path or hf"),
        (
            {"kind": "heavy", "hf_model_handle": "o/m", "data_parallel_size": 2},
            "deployment: kind heavy has no data_parallel_size; remove it",
        ),
        (
            {"kind": "heavy", "hf_model_handle": "o/m", "tensor_parallel_size": 2},
            "deployment: kind heavy uses all GPUs that it gets; set `gpus` instead of tensor_para",
        ),
        (
            {"kind": "light", "pipeline_parallel_size": 2},
            "deployment: kind light has no tensor_parallel_size and no pipeline_parallel_size; rem",
        ),
        ({"kind": "boxed"}, "deployment: kind boxed requires an image, which contains the model"),
        (
            {"kind": "torn"},
            "deployment.kind: torn: torn:KIND cannot be imported (no driver); fix the package",
        ),
        ({"kind": "other"}, "deployment.kind: other: kinds:OTHER is no ServerKind; fix the pack"),
    ],
)
def test_what_a_kind_declares_is_checked(
    tmp_path: Path, spec: dict[str, Any], sentence: str
) -> None:
    assert error(tmp_path, served(**spec)).startswith(f"c.yaml: models.m.{sentence}")


# --- the launcher's `deployment` --------------------------------------------------------------


@pytest.mark.usefixtures("parrot")
@pytest.mark.parametrize(
    ("content", "overrides"),
    [
        ({"deployment": {"type": "parrot", "served_model_name": "p"}}, []),
        ({"deployment": {"served_model_name": "p"}}, ["deployment=parrot"]),
        ({}, ["deployment=parrot", "deployment.served_model_name=p"]),
    ],
)
def test_the_launchers_shape_accepts_an_installed_kind(
    tmp_path: Path, content: dict[str, Any], overrides: list[str]
) -> None:
    deployment = only(launched(tmp_path, content, *overrides))
    spec = deployment.model_dump(exclude_defaults=True)
    assert spec == {"kind": "parrot", "served_model_name": "p"}


@pytest.mark.usefixtures("parrot")
def test_a_defaults_list_chooses_an_installed_kind(tmp_path: Path) -> None:
    content = {
        "defaults": [{"execution": "local"}, {"deployment": "parrot"}, "_self_"],
        "deployment": {"endpoints": {"chat": "/talk"}, "command": "parrot --port 1"},
    }
    deployment = only(launched(tmp_path, content))
    assert (deployment.kind, deployment.endpoints.chat) == ("parrot", "/talk")
    assert (deployment.command, deployment.port) == ("parrot --port 1", 8000)


@pytest.mark.usefixtures("parrot")
@pytest.mark.parametrize(
    ("content", "overrides", "sentence"),
    [
        (
            {"deployment": {"type": "parot"}},
            [],
            "c.yaml: deployment.type: no deployment 'parot'; did you mean 'parrot'?",
        ),
        ({}, ["deployment=parot"], "c.yaml: defaults: no parot in deployment; did you mean 'par"),
        (
            {"deployment": {"imge": "x"}},
            ["deployment=parrot"],
            "c.yaml: deployment.imge: unknown key 'imge'; did you mean 'image'?",
        ),
        (
            {"deployment": {"gpu_memory_utilization": 0.9}},
            ["deployment=parrot"],
            "c.yaml: deployment.gpu_memory_utilization: requires type vllm; remove it",
        ),
    ],
)
def test_an_error_in_the_launchers_shape_names_file_and_key(
    tmp_path: Path, content: dict[str, Any], overrides: list[str], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        launched(tmp_path, content, *overrides)
    (line,) = str(caught.value).splitlines()
    assert line.removeprefix(f"{tmp_path}/").startswith(sentence)


@pytest.mark.usefixtures("kinds")
def test_the_launchers_shape_reports_a_kind_that_cannot_be_imported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"deployment\.type: torn: torn:KIND cannot be imported"):
        launched(tmp_path, {}, "deployment=torn")


def test_a_built_in_kind_without_a_file_can_be_chosen(tmp_path: Path) -> None:
    deployment = only(
        launched(tmp_path, {}, "deployment=llamacpp", "deployment.hf_model_handle=o/m")
    )
    assert (deployment.kind, deployment.hf_model_handle) == ("llamacpp", "o/m")
