"""One node's part of a server: ``python -m snakeval.serving.node_process``, a task of a Slurm step.

srun gives every task the same standard input. The first line defines what to run. It includes the
secrets, which are therefore in no file and on no command line. The end of the input means that the
server must stop, or that the process that started it is gone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from threading import Event
from typing import Any

from snakeval.errors import EvaluationError, Interrupted
from snakeval.files import json_value
from snakeval.runtimes import blocking, connect
from snakeval.runtimes.spec import ContainerSpec, Mount
from snakeval.serving import gpus
from snakeval.serving.deployment import Nodes


def command(nodes: Nodes) -> list[str]:
    """The step that runs this on each of *nodes*; a part that ends ends all of them."""
    count = str(len(nodes.names))
    return [
        *("srun", "--quiet", "--overlap", "--mpi=none", "--kill-on-bad-exit=1"),
        *(f"--nodes={count}", f"--ntasks={count}", "--ntasks-per-node=1"),
        *(
            f"--nodelist={','.join(nodes.names)}",
            sys.executable,
            "-m",
            "snakeval.serving.node_process",
        ),
    ]


def message(runtime: str, spec: ContainerSpec, nodes: Nodes, slots: Sequence[str]) -> bytes:
    """Return the input of the step: *spec*, whose GPUs are among *slots*, those of this machine."""
    data = {**asdict(replace(spec, environ=None, keep=())), "environ": spec.secret_values()}
    data["secrets"] = {name: name for name in spec.secret_values()}
    told = {"runtime": runtime, "spec": data, "nodes": asdict(nodes), "slots": list(slots)}
    return json.dumps(told).encode() + b"\n"


def part(told: Mapping[str, Any], node: str, environ: Mapping[str, str]) -> ContainerSpec:
    """Return what *node* runs, with the GPUs of its own that stand where the spec's do.

    ``SNAKEVAL_NODE_RANK`` is its place among the nodes, 0 for the head.
    """
    data, nodes = dict(told["spec"]), told["nodes"]
    rank = nodes["names"].index(node)
    own = gpus.slots(environ)
    places = [told["slots"].index(gpu) if gpu in told["slots"] else -1 for gpu in data["gpu_ids"]]
    gpu_ids = tuple(
        own[place] if 0 <= place < len(own) else gpu
        for place, gpu in zip(places, data["gpu_ids"], strict=True)
    )
    return ContainerSpec(
        **{
            **data,
            "argv": tuple(data["argv"]),
            "packages": tuple(data["packages"]),
            "withheld": tuple(data["withheld"]),
            "keep": (),
            "mounts": tuple(Mount(**mount) for mount in data["mounts"]),
            "gpu_ids": gpu_ids,
            "name": f"{data['name']}-{rank}",
            "env": {
                **data["env"],
                "SNAKEVAL_NODE_RANK": str(rank),
                "SNAKEVAL_NODE_ADDRESS": nodes["addresses"][rank],
            },
            "environ": {**environ, **data["environ"]},
        }
    )


def main() -> int:
    """Run this node's part; return its exit code, and never 0 for one that ended by itself."""
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    told = json_value(sys.stdin.buffer.readline() or b"{}")
    if not told:
        return 0  # the process that started it is gone already
    threading.Thread(target=_watch, args=(stop,), daemon=True).start()
    try:
        spec = part(told, os.environ["SLURMD_NODENAME"], os.environ)
        with blocking.ended_by(stop):
            runtime = connect(told["runtime"])
            runtime.prepare(spec, _report)
            outcome = runtime.run(spec, sys.stdout.buffer, stop)
    except Interrupted:
        return 0
    except EvaluationError as error:
        _report(f"ERROR: {error}")
        return 1
    return 0 if stop.is_set() else outcome.exit_code or 1


def _watch(stop: Event) -> None:
    sys.stdin.buffer.read()
    stop.set()


def _report(text: str) -> None:
    print(f"{os.environ.get('SLURMD_NODENAME', '')}: {text}", flush=True)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # a thread may be waiting for the end of the input
