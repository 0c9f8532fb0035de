"""Which runtime a harness gets, and the sentence that says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.errors import EvaluationError
from snakeval.runtimes import choose

BUSYBOX = "snakeval-testbed/busybox:latest"
ABSENT = "snakeval-testbed/no-such-image:latest"


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("PATH", str(tmp_path))


def test_what_is_configured_is_taken() -> None:
    runtime, why = choose("process", BUSYBOX, installable=True)
    assert (runtime.name, why) == ("process", "runtime: process (as configured)")


@pytest.mark.usefixtures("no_engine")
def test_without_an_engine_a_harness_is_installed_and_auto_says_why() -> None:
    runtime, why = choose("auto", ABSENT, installable=True)
    assert runtime.name == "process"
    assert "no Docker engine answers" in why
    assert "there is no podman on the PATH" in why


@pytest.mark.usefixtures("no_engine")
def test_without_an_engine_what_needs_one_is_refused() -> None:
    with pytest.raises(EvaluationError, match=f"nothing here can run {ABSENT}: no Docker engine"):
        choose("auto", ABSENT, installable=False)
    with pytest.raises(EvaluationError, match="no Docker engine answers"):
        choose("docker", ABSENT, installable=True)
    with pytest.raises(EvaluationError, match="there is no podman on the PATH; install it"):
        choose("podman", ABSENT, installable=True)


def test_a_command_without_an_image_runs_as_it_is() -> None:
    runtime, why = choose("auto", "", installable=True)
    assert (runtime.name, why) == (
        "process",
        "runtime: process (auto: no image is named)",
    )


@pytest.mark.docker
def test_an_engine_that_has_the_image_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose("auto", BUSYBOX, installable=True)[0].name == "docker"
    # Nothing is pulled for what can be installed, and all that cannot be is left to the engine.
    monkeypatch.setenv("PATH", "/nonexistent")
    runtime, why = choose("auto", ABSENT, installable=True)
    assert runtime.name == "process"
    assert f"docker has no image {ABSENT}" in why
    assert choose("auto", ABSENT, installable=False)[0].name == "docker"
