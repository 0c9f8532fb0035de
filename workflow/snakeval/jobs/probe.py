"""Checks that harnesses in an image and a network can connect to a gateway on this machine.

A firewall may be between a bridge and this machine, and a remote engine runs containers elsewhere.
"""

from __future__ import annotations

import os
import tempfile
import threading
from dataclasses import replace
from threading import Event
from urllib.parse import urlsplit

from snakeval.errors import EvaluationError
from snakeval.evaluation.definition import digest
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.files import write_if_changed
from snakeval.jobs.attempt_log import AttemptLog
from snakeval.jobs.gateway import Asked
from snakeval.ledger.plain_text import one_line
from snakeval.run.directory import RunDirectory
from snakeval.runtimes import Runtime
from snakeval.runtimes.spec import ContainerSpec

#: Seconds in which a container must connect. It tries again meanwhile: a gateway may just restart.
_SECONDS = 5
#: Seconds for the start and the end of the container beside that. An engine under load needs some.
_START_SECONDS = 120.0
#: The exit code of an image without a program that can connect.
_NO_PROGRAM = 3
#: The exit codes of python3 and bash without a connection, and of ``timeout``.
_REFUSED, _LATE = 1, 124
#: Stands for the exit code of a container that did not start and end in time.
_SLOW = -1
#: The first word of a note.
_REACHED, _UNKNOWN = "reached", "unknown"
#: The shell that bash starts reads host and port as words, so neither is text of a script.
_SCRIPT = f"""
if command -v python3 >/dev/null 2>&1; then
  exec python3 -c 'import socket, sys, time
end = time.monotonic() + {_SECONDS}
while True:
    try:
        sys.exit(socket.create_connection((sys.argv[1], int(sys.argv[2])), {_SECONDS}).close())
    except OSError as error:
        if time.monotonic() > end:
            sys.exit(str(error))
        time.sleep(0.2)' "$1" "$2"
elif command -v bash >/dev/null 2>&1; then
  if command -v timeout >/dev/null 2>&1; then set -- "$1" "$2" timeout {_SECONDS}; fi
  host=$1 port=$2
  shift 2
  exec "$@" bash -c 'exec 3<>"/dev/tcp/$1/$2"' probe "$host" "$port"
fi
exit {_NO_PROGRAM}
"""


def require_reachable(
    directory: EvaluationDirectory,
    runtime: Runtime,
    spec: ContainerSpec,
    asked: Asked,
    log: AttemptLog,
) -> bool:
    """Check that the harness of *spec* can connect to its gateway; return whether that is known.

    A container of the harness's image tries it, once for each engine, network and image of a run.
    It is not known of an image without python3 and bash, or whose containers do not start in time.

    Raises:
        EvaluationError: it cannot connect.
    """
    if not runtime.isolated:
        return True
    engine = os.environ.get("DOCKER_HOST", "") if runtime.name == "docker" else ""
    key = digest([runtime.name, engine, spec.network, spec.image])[:16]
    note = RunDirectory.of(directory).probe(key)
    if note.exists():
        return note.read_text(encoding="utf-8").startswith(_REACHED)
    address = urlsplit(next(iter(asked.urls.values())))
    code, said = _connect(runtime, spec, str(address.hostname), address.port or 0)
    if code in (_REFUSED, _LATE):
        raise EvaluationError(
            f"containers of {spec.image} cannot connect to the ledger's gateway at "
            f"{address.netloc} (runtime {runtime.name}, network {spec.network}"
            f"{said and f': {said}'})",
            hint="allow that connection in the firewall, or set ledger: off",
        )
    if code not in (0, _NO_PROGRAM):  # nor does the harness start, and its reason is the right one
        return False
    if code == _NO_PROGRAM:
        log.say(f"{spec.image} has no python3 and no bash to check the way to the gateway")
    found = _UNKNOWN if code == _NO_PROGRAM else _REACHED
    write_if_changed(note, f"{found}: {runtime.name} {spec.network} {spec.image}\n")
    return found == _REACHED


def _connect(runtime: Runtime, spec: ContainerSpec, host: str, port: int) -> tuple[int, str]:
    """Run a container that connects; return its exit code and what it printed.

    The code is ``_SLOW`` if it did not end in time.
    """
    probing = replace(
        spec,
        name=f"{spec.name}-probe",
        argv=("sh", "-c", _SCRIPT, "probe", host, str(port)),
        secrets={},
        gpus=0,
        gpu_ids=(),
        keep=(),
        grace=1,
        environ=None,
    )
    late = Event()
    timer = threading.Timer(_START_SECONDS, late.set)
    timer.start()
    try:
        with tempfile.TemporaryFile() as output:
            code = runtime.run(probing, output, late).exit_code
            output.seek(0)
            said = one_line(output.read().decode(errors="replace"), 200)
            return (_SLOW if late.is_set() else code), said
    finally:
        timer.cancel()
