"""Finds and removes a run's containers in the engines of this machine."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import partial

from snakeval.executors.base import Remain
from snakeval.files import json_value
from snakeval.run.directory import RunDirectory

_ENGINE_SECONDS = 20
#: How long an engine waits between a container's SIGTERM and its SIGKILL, in seconds.
_STOP_SECONDS = 10


def containers(
    run: RunDirectory, names: Mapping[str, str], *, servers: bool, silent: set[str]
) -> Iterator[Remain]:
    """Yield the containers of *run* that are among *names*, running or not.

    *names* has what each container belongs to. *servers* are containers of any run. Engines that
    do not answer are added to *silent*.
    """
    labels = [f"snakeval.run={run.name}", *(["snakeval.server"] if servers else [])]
    silent.clear()
    for engine in (_Docker, _Podman):
        try:
            found = {name for label in labels for name in engine.names(label)}
        except (OSError, ValueError, subprocess.SubprocessError):
            silent.add(engine.__name__.strip("_").lower())
            continue
        for name in found & names.keys():
            acts = (None, partial(engine.stop, name), partial(engine.remove, name))
            yield Remain(f"container {name}", f"container {name} of {names[name]}", acts)


class _Docker:
    @staticmethod
    def names(label: str) -> list[str]:
        """The names of the containers with *label*.

        Raises:
            OSError: the engine does not answer.
        """
        import docker
        from docker.errors import DockerException

        try:
            api = docker.from_env(timeout=_ENGINE_SECONDS).api
            found = api.containers(all=True, filters={"label": label})
        except DockerException as error:
            raise OSError(str(error)) from None
        return [name.strip("/") for container in found for name in container["Names"]]

    @staticmethod
    def stop(name: str) -> None:
        _Docker._do("stop", name, timeout=_STOP_SECONDS)

    @staticmethod
    def remove(name: str) -> None:
        _Docker._do("remove_container", name, force=True, v=True)

    @staticmethod
    def _do(what: str, name: str, **options: object) -> None:
        import docker
        from docker.errors import DockerException

        with contextlib.suppress(DockerException, OSError):  # what is left is looked for again
            getattr(docker.from_env(timeout=_ENGINE_SECONDS).api, what)(name, **options)


class _Podman:
    @staticmethod
    def names(label: str) -> list[str]:
        """The names of the containers with *label*.

        Raises:
            OSError, ValueError, subprocess.SubprocessError: podman does not work.
        """
        if shutil.which("podman") is None:
            return []
        words = ["ps", "--all", "--filter", f"label={label}", "--format", "json"]
        done = subprocess.run(
            ["podman", *words], capture_output=True, check=True, timeout=_ENGINE_SECONDS
        )
        found = json_value(done.stdout or b"[]") or []
        return [str(name) for container in found for name in container["Names"]]

    @staticmethod
    def stop(name: str) -> None:
        _Podman._do("stop", "--time", str(_STOP_SECONDS), name)

    @staticmethod
    def remove(name: str) -> None:
        _Podman._do("rm", "--force", "--time", "0", name)

    @staticmethod
    def _do(*words: str) -> None:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(["podman", *words], capture_output=True, check=False, timeout=60)
