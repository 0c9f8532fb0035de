"""Builds command lines of container engines, for snakeval and for people."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Mapping

from snakeval.runtimes.lifeline import READ_SECRETS, exports
from snakeval.runtimes.spec import ContainerSpec, Mount


def wrapped(spec: ContainerSpec, env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the command as a person starts it: a shell in the container, which first sets *env*.

    The shell reads secrets as :data:`READ_SECRETS` does.
    """
    start = READ_SECRETS if spec.secrets else 'exec "$@"'
    return ("sh", "-c", f"{exports(env)}{start}", "snakeval", *spec.argv)


def mount_option(mount: Mount) -> str:
    """Return the value of ``--mount``, a line of CSV that supports colons, commas and quotes."""
    fields = ["type=bind", f"source={mount.source}", f"target={mount.target}"]
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([*fields, *["readonly"] * mount.read_only])
    return line.getvalue()


def command_line(
    spec: ContainerSpec, engine: str, user: str | None, *, guarded: bool = False
) -> list[str]:
    """Return ``docker run …`` or ``podman run …`` for *spec*; *guarded* adds its lifeline.

    *user* is ``UID:GID``, and artifacts belong to that user. The container reads secrets from
    standard input; see :data:`READ_SECRETS`. Only an image's own entry point without a lifeline
    gets them from the variables of this command; see :func:`by_hand`.
    """
    words = [engine, "run", "--rm", "--init", "--name", spec.name, "--network", spec.network]
    if user:
        words += ["--user", user]
    if engine == "podman":
        # Podman would write the proxies of its environment into the container's definition.
        words.append("--http-proxy=false")
    if engine == "podman" and user and not user.startswith("0:"):
        words += ["--userns", "keep-id"]
    if engine == "docker" and spec.network == "bridge":
        words += ["--add-host", "host.docker.internal:host-gateway"]
    if spec.cpus:
        words += ["--cpus", str(spec.cpus)]
    if spec.mem_mb:
        words += ["--memory", f"{spec.mem_mb}m"]
    if spec.shm_mb:
        words += ["--shm-size", f"{spec.shm_mb}m"]
    if engine == "podman":
        for gpu in spec.gpu_ids or range(spec.gpus):
            words += ["--device", f"nvidia.com/gpu={gpu}"]
    elif spec.gpu_ids:
        # The value is a line of CSV, in which an unquoted comma would start another option.
        words += ["--gpus", f'"device={",".join(spec.gpu_ids)}"']
    elif spec.gpus:
        words += ["--gpus", str(spec.gpus)]
    for mount in spec.mounts:
        words += ["--mount", mount_option(mount)]
    for name, value in spec.env.items():
        words += ["--env", f"{name}={value}"]
    if engine == "docker" and not guarded:
        # The init would otherwise forward a signal only to the shell, which waits for its command.
        words += ["--env", "TINI_KILL_PROCESS_GROUP=1"]
    for name, value in spec.labels.items():
        words += ["--label", f"{name}={value}"]
    words += ["--workdir", spec.workdir]
    if guarded:
        shell, *rest = spec.guarded()
        return [*words, "--interactive", "--entrypoint", shell, spec.image, *rest]
    if spec.entry_point:
        # READ_SECRETS would have to start the entry point, which only the image knows. The
        # container's definition therefore has the values here, but no command line has them.
        for name in spec.secrets:
            words += ["--env", name]
        return [*words, spec.image, *spec.argv]
    if spec.secrets:
        return [
            *words, "--interactive", "--entrypoint", "sh", spec.image,
            "-c", READ_SECRETS, "snakeval", *spec.argv,
        ]  # fmt: skip
    return [*words, "--entrypoint", spec.argv[0], spec.image, *spec.argv[1:]]


def by_hand(spec: ContainerSpec, engine: str, user: str | None) -> str:
    """Return the shell text that runs *spec* for a person; see :func:`command_line`."""
    secrets = spec.secret_assignments() if spec.entry_point else ""
    return secrets + shlex.join(command_line(spec, engine, user))
