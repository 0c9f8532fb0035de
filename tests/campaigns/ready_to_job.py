"""Measures how long a checkpoint waits from the moment when it is ready to its first job.

``python tests/campaigns/ready_to_job.py COUNT`` follows a training that writes COUNT checkpoints,
one after the other, with free slots. It prints medians in seconds, once for ``ready: DONE``, where
the marker makes a checkpoint ready, and once for ``auto``, from the last write, of which 5 s are
the pause between the two looks. The weights are a few bytes, so hashing takes no time. A job begins
when Snakemake has submitted it, and its first event says when.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import yaml

HERE = Path(__file__).parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))

from support import digest_server  # noqa: E402
from support.checkpoints import checkpoint  # noqa: E402

#: The longest time to wait for a job, in seconds.
_LONGEST = 120.0


def measure(place: Path, ready: str, count: int) -> list[float]:
    """Return the seconds of each checkpoint."""
    series = {"pattern": str(place / "train/step-{step}"), "ready": ready}
    served = digest_server.deployment(place / "served.jsonl", idle_timeout=1)
    data = {
        "runtime": "process",
        "models": {"run7": {"checkpoints": series, "deployment": served}},
        "benchmarks": {"b": digest_server.benchmark(place / "bench", "b")},
    }
    place.joinpath("evaluation.yaml").write_text(yaml.safe_dump(data))
    (place / "train").mkdir()
    words = [sys.executable, "-m", "snakeval", "follow", "evaluation.yaml", "--slots", "2"]
    with (place / "follow.log").open("wb") as log:
        follower = subprocess.Popen(
            [*words, "--until-file", str(place / "END"), "--", "--cores", "2"],
            cwd=place,
            env={**os.environ, "SNAKEVAL_HOME": str(place / "home")},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    wait_for(lambda: "follows" in (place / "follow.log").read_text())
    time.sleep(3)  # its modules are loaded
    found = []
    for number in range(count):
        path = checkpoint(place / f"train/step-{number}", f"{number}".encode())
        if ready != "auto":
            time.sleep(1)
            (path / ready).touch()
        began = time.time()
        events = f"results/*/run7@{number}/deployment/events.jsonl"
        wait_for(lambda events=events: any(place.glob(events)))
        (file,) = place.glob(events)
        line = json.loads(file.read_text().splitlines()[0])
        found.append(datetime.fromisoformat(line["time"]).timestamp() - began)
        wait_for(lambda n=number: f"run7@{n} is done" in (place / "follow.log").read_text())
    (place / "END").touch()
    follower.wait(_LONGEST)
    return found


def wait_for(happens: object) -> None:
    """Wait until something is true."""
    until = time.monotonic() + _LONGEST
    while time.monotonic() < until:
        with contextlib.suppress(OSError, IndexError):
            if happens():  # type: ignore[operator]
                return
        time.sleep(0.01)
    raise TimeoutError


def main() -> None:
    """Print the medians."""
    for ready in ("DONE", "auto"):
        place = Path(tempfile.mkdtemp(prefix="snakeval-ready-"))
        found = measure(place, ready, int(sys.argv[1]))
        shutil.rmtree(place)
        each = " ".join(f"{seconds:.2f}" for seconds in found)
        print(f"ready: {ready}: median {statistics.median(found):.2f} s of {each}", flush=True)


if __name__ == "__main__":
    main()
