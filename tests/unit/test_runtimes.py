"""Tests which runtime a harness gets, and the reason in the message."""

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


def test_choose_returns_the_configured_runtime() -> None:
    runtime, why = choose("process", BUSYBOX, installable=True)
    assert (runtime.name, why) == ("process", "runtime: process (as configured)")


@pytest.mark.usefixtures("no_engine")
def test_without_an_engine_auto_installs_a_harness_and_gives_the_reason() -> None:
    runtime, why = choose("auto", ABSENT, installable=True)
    assert runtime.name == "process"
    assert why == "runtime: process (no container engine; details: snakeval doctor)"


@pytest.mark.usefixtures("no_engine")
def test_a_harness_that_requires_a_missing_engine_is_an_error() -> None:
    with pytest.raises(EvaluationError, match=f"nothing here can run {ABSENT}: no Docker engine"):
        choose("auto", ABSENT, installable=False)
    with pytest.raises(EvaluationError, match="no Docker engine answers"):
        choose("docker", ABSENT, installable=True)
    with pytest.raises(EvaluationError, match="there is no podman on the PATH; install it"):
        choose("podman", ABSENT, installable=True)


def test_a_command_without_an_image_runs_as_a_process() -> None:
    runtime, why = choose("auto", "", installable=True)
    assert (runtime.name, why) == (
        "process",
        "runtime: process (auto: no image is configured)",
    )


@pytest.mark.docker
def test_auto_prefers_an_engine_that_has_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose("auto", BUSYBOX, installable=True)[0].name == "docker"
    # Snakeval pulls no image of a harness that it can install; other harnesses use the engine.
    monkeypatch.setenv("PATH", "/nonexistent")
    runtime, why = choose("auto", ABSENT, installable=True)
    assert runtime.name == "process"
    assert f"docker has no image {ABSENT}" in why
    assert choose("auto", ABSENT, installable=False)[0].name == "docker"
