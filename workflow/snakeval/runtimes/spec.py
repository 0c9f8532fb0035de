"""What to run: one container, described without knowing what starts it or where.

Renders shell text too, so that a person can run the same thing by hand.
"""

from __future__ import annotations

import csv
import io
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from snakeval.errors import EvaluationError

#: Started in place of the harness where there are secrets: reads ``export NAME='value'`` lines
#: from standard input, so that no value stands in the container's definition, on a command line
#: or in a file, and then becomes the harness (exec), which so gets the signals.
READ_SECRETS = 'eval "$(cat)"; exec "$@" </dev/null'

#: Ends what the container reads of its secrets; from then on standard input is its lifeline.
_GO = "#snakeval: go"

#: Started in place of the harness by whoever waits for it: reads secrets as :data:`READ_SECRETS`
#: does, but only up to a mark, and keeps standard input open. Its end means that the owner is
#: gone, killed perhaps, and then the whole process group gets SIGTERM, and SIGKILL after
#: ``$1`` seconds: nothing runs on for nobody. It needs no tool but ``sh`` (and ``sleep``, to wait).
LIFELINE = f"""
text=
while IFS= read -r line && [ "$line" != '{_GO}' ]; do text="$text$line
"; done
eval "$text"
unset text line
exec 3<&0 </dev/null
grace=$1
shift
"$@" 3<&- &
harness=$!
trap 'trap "" TERM INT; stopped=yes; kill -TERM 0' TERM INT
(
  trap "" TERM INT
  while read -r line; do :; done <&3
  kill -TERM $$
  sleep "$grace"
  kill -KILL 0
) &
watch=$!
before=
while :; do  # a signal ends the waiting, not the harness, and a status is told only once
  stopped=
  wait "$harness"
  code=$?
  [ "$code" = 127 ] && code=${{before:-127}}
  [ -n "$stopped" ] || break
  before=$code
done
kill -KILL "$watch"
exit "$code"
"""


@dataclass(frozen=True, slots=True)
class Mount:
    """A host path and where the harness finds it."""

    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container run.

    Attributes:
        env: names and values that may be seen by anybody.
        secrets: names inside -> names of environment variables here that hold the values.
        cpus, mem_mb, shm_mb: limits; None for none. mem_mb and shm_mb are MiB.
        gpus: how many GPUs it sees.
        grace: seconds between SIGTERM and SIGKILL when it is stopped.
        requirements: pinned requirements file for a runtime without images, or empty.
        packages: pinned packages to the same end.
        gpu_ids: the GPUs that it sees, by number or UUID; instead of ``gpus``.
        entry_point: argv are arguments of the image's own entry point; without any, the image's
            own arguments count.
        environ: the variables that secrets come from, and all that a process inherits; None for
            those of this process.
    """

    name: str
    image: str
    argv: tuple[str, ...]
    workdir: str
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    network: str = "host"
    cpus: int | None = None
    mem_mb: int | None = None
    shm_mb: int | None = None
    gpus: int = 0
    grace: int = 10
    requirements: str = ""
    packages: tuple[str, ...] = ()
    gpu_ids: tuple[str, ...] = ()
    entry_point: bool = False
    environ: Mapping[str, str] | None = field(default=None, repr=False)

    @property
    def surroundings(self) -> Mapping[str, str]:
        """What ``environ`` means."""
        return os.environ if self.environ is None else self.environ

    def secret_values(self) -> dict[str, str]:
        """Read the secrets; one whose variable is unset is left out."""
        values = self.surroundings
        return {inside: values[here] for inside, here in self.secrets.items() if here in values}

    def secret_assignments(self) -> str:
        """What in a shell gives the command after it the secrets, by their names inside."""
        return "".join(f'{inside}="${{{here}-}}" ' for inside, here in self.secrets.items())

    def completed(self, image: Mapping[str, Any]) -> ContainerSpec:
        """Return the same with its whole command, as the configuration of its *image* says it.

        Raises:
            EvaluationError: there is nothing to run.
        """
        argv = (*(image.get("Entrypoint") or ()), *(self.argv or image.get("Cmd") or ()))
        if not argv:
            raise EvaluationError(f"image {self.image} names nothing to run; write `command`")
        return replace(self, argv=argv, entry_point=False)

    def guarded(self) -> tuple[str, ...]:
        """The command under its :data:`LIFELINE`."""
        return ("sh", "-c", LIFELINE, "snakeval", str(self.grace), *self.argv)

    def greeting(self, *, secrets: bool = True, env: Mapping[str, str] | None = None) -> bytes:
        """What :data:`LIFELINE` reads first; the stream must then stay open.

        *env* is for runtimes whose own options could not hand every value over unchanged.
        """
        values = {**(env or {}), **(self.secret_values() if secrets else {})}
        return f"{exports(values)}{_GO}\n".encode()


def exports(values: Mapping[str, str]) -> str:
    """The shell text that :data:`READ_SECRETS` reads. Quoted: nothing in a value runs."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def wrapped(spec: ContainerSpec, env: Mapping[str, str]) -> tuple[str, ...]:
    """The command as a person starts it: a shell in the container that sets *env* first.

    It reads secrets as :data:`READ_SECRETS` does.
    """
    start = READ_SECRETS if spec.secrets else 'exec "$@"'
    return ("sh", "-c", f"{exports(env)}{start}", "snakeval", *spec.argv)


def mount_option(mount: Mount) -> str:
    """The value of ``--mount``, a line of CSV: a path may hold colons, commas and quotes."""
    fields = ["type=bind", f"source={mount.source}", f"target={mount.target}"]
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([*fields, *["readonly"] * mount.read_only])
    return line.getvalue()


def command_line(
    spec: ContainerSpec, engine: str, user: str | None, *, guarded: bool = False
) -> list[str]:
    """Return ``docker run …`` or ``podman run …`` for *spec*; *guarded* by its lifeline.

    *user* is ``UID:GID``, so that artifacts belong to the caller. Secrets are read from standard
    input by the container itself; see :data:`READ_SECRETS`. Only an image's own entry point,
    unguarded, has them from the variables around this command; see :func:`by_hand`.
    """
    words = [engine, "run", "--rm", "--init", "--name", spec.name, "--network", spec.network]
    if user:
        words += ["--user", user]
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
        # A line of CSV, so quoted: the comma would begin another option.
        words += ["--gpus", f'"device={",".join(spec.gpu_ids)}"']
    elif spec.gpus:
        words += ["--gpus", str(spec.gpus)]
    for mount in spec.mounts:
        words += ["--mount", mount_option(mount)]
    for name, value in spec.env.items():
        words += ["--env", f"{name}={value}"]
    if engine == "docker" and not guarded:
        # Its init would hand a signal to the shell only, which waits for its command.
        words += ["--env", "TINI_KILL_PROCESS_GROUP=1"]
    for name, value in spec.labels.items():
        words += ["--label", f"{name}={value}"]
    words += ["--workdir", spec.workdir]
    if guarded:
        shell, *rest = spec.guarded()
        return [*words, "--interactive", "--entrypoint", shell, spec.image, *rest]
    if spec.entry_point:
        # READ_SECRETS would have to know what to become, and only the image says that. So the
        # values stand in the container's definition here, but still on no command line.
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
