"""Pulls an image with Docker's Python SDK: ``python -m snakeval.runtimes.docker_pull IMAGE``.

It prints a line for each layer. If it fails, the last line is the reason and the exit code is 1.
"""

from __future__ import annotations

import sys

import docker
from docker.errors import DockerException
from docker.utils import parse_repository_tag

#: The engine sends a layer's progress many times a second; these are its milestones.
_MILESTONES = ("Pull complete", "Already exists", "Download complete")


def pull(image: str) -> str:
    """Pull *image*, and print its layers; return what is wrong, or nothing."""
    repository, tag = parse_repository_tag(image)
    try:
        api = docker.from_env(version="auto", timeout=60).api
        for event in api.pull(repository, tag=tag or "latest", stream=True, decode=True):
            if "error" in event:
                return str(event["error"])
            if event.get("status") in _MILESTONES:
                print(f"{image}: {event.get('id', '')} {event['status'].lower()}", flush=True)
    except (DockerException, OSError) as error:
        return str(getattr(error, "explanation", None) or error)
    return ""


if __name__ == "__main__":
    if problem := pull(sys.argv[1]):
        sys.exit(" ".join(problem.split())[:300])
