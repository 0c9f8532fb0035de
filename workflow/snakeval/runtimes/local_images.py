"""Images that the Docker engine of this machine has."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

#: How long the engine may take to answer, in seconds.
_TIMEOUT = 10


def digest_here(image: str) -> str | None:
    """Return the registry's digest of *image* if the engine has it.

    Empty if the image was built or loaded here, None if there is no engine or no image.
    """
    from docker.errors import DockerException

    try:
        known = _engine().inspect_image(image).get("RepoDigests") or []
    except (DockerException, OSError):
        return None
    return str(known[0]).rpartition("@")[2] if known else ""


def root() -> Path | None:
    """Return where the engine keeps its images; None if that is not on this machine."""
    from docker.errors import DockerException

    try:
        place = str(_engine().info().get("DockerRootDir") or "")
    except (DockerException, OSError):
        return None
    return Path(place) if place and Path(place).is_dir() else None


@cache
def _engine() -> Any:
    import docker

    return docker.from_env(timeout=_TIMEOUT).api
