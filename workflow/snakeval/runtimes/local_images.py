"""Images that the Docker engine of this machine has."""

from __future__ import annotations

from functools import cache
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


@cache
def _engine() -> Any:
    import docker

    return docker.from_env(timeout=_TIMEOUT).api
