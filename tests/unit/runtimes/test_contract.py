"""Tests the contract that every runtime fulfils, with the real programs.

Apptainer and pyxis are stand-ins that run the containers all the same; pyxis's steps are Slurm's.

Long because it is one contract, which every runtime fulfils.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import astuple, fields, replace
from pathlib import Path
from threading import Event
from typing import Any

import docker
import pytest

from snakeval.errors import EvaluationError
from snakeval.processes import process_lives
from snakeval.runtimes import Outcome, Runtime, connect
from snakeval.runtimes.marked import marked
from snakeval.runtimes.passed_on import folders, passed_on
from snakeval.runtimes.spec import ContainerSpec, Mount
from support.limits import HUNG
from support.machine import eventually

BUSYBOX = "snakeval-testbed/busybox:latest"
NASTY = """it's "a" $(touch executed) `touch executed` \\ $HOME ; & | key\nsecond line"""


ENGINES = [
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("podman", marks=pytest.mark.podman),
]


STANDINS = [
    pytest.param("apptainer", marks=[pytest.mark.docker, pytest.mark.root]),
    pytest.param("pyxis", marks=[pytest.mark.docker, pytest.mark.root, pytest.mark.slurm]),
]


@pytest.fixture(params=[*ENGINES, *STANDINS, "process"])
def runtime(request: pytest.FixtureRequest, test_bed: None) -> Runtime:
    if request.param in ("apptainer", "pyxis"):
        request.getfixturevalue("commands")
        if request.param == "pyxis":
            request.getfixturevalue("in_a_job")
        runtime = connect(request.param)
        runtime.prepare(ContainerSpec("n", BUSYBOX, (), "/"), print)
        return runtime
    return connect(request.param)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, test_bed: None) -> Runtime:
    return connect(request.param)


@pytest.fixture
def containers() -> Callable[[], list[str]]:
    """Return the containers of this process's tests on any engine, running or not.

    Other processes run these tests at the same time, and their containers are alive.
    """
    own = f"name=snakeval-test-{os.getpid()}($|[^0-9])"

    def existing() -> list[str]:
        found = []
        for engine in filter(shutil.which, ("docker", "podman")):
            command = [engine, "ps", "--all", "--quiet", "--filter", own]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            found += done.stdout.split()
        return found

    return existing


def spec(runtime: Runtime, results: Path, command: str, **more: Any) -> ContainerSpec:
    """Return a spec that runs `command` in a shell; `$R` is the results directory."""
    inside = "/results" if runtime.isolated else str(results)
    fields: dict[str, Any] = {
        "name": f"snakeval-test-{os.getpid()}",
        "image": BUSYBOX,
        "argv": ("sh", "-c", command),
        "workdir": inside,
        "env": {"R": inside},
        "mounts": (Mount(str(results), "/results", read_only=False),),
        "grace": 1,
    }
    return ContainerSpec(**fields | more)


def run(runtime: Runtime, what: ContainerSpec) -> tuple[Outcome, str]:
    log = io.BytesIO() if runtime.name == "docker" else None
    if log is None:
        path = Path(what.mounts[0].source).parent / "log"
        with path.open("w+b") as file:
            outcome = runtime.run(what, file, Event())
            file.seek(0)
            return outcome, file.read().decode()
    return runtime.run(what, log, Event()), log.getvalue().decode()


@pytest.fixture
def image(engine: Runtime) -> Iterator[str]:
    """Return an image with its own entry point and command."""
    name = f"snakeval-test-entry:{os.getpid()}"
    entry = ["sh", "-c", 'echo "$KEY" "$@"', "entry"]
    changes = [f"ENTRYPOINT {json.dumps(entry)}", 'CMD ["its", "own command"]']
    create = [engine.name, "create", BUSYBOX]
    made = subprocess.run(create, capture_output=True, text=True, check=True).stdout.strip()
    words = [word for change in changes for word in ("--change", change)]
    commit = [engine.name, "commit", *words, made, name]
    subprocess.run(commit, capture_output=True, check=True)
    subprocess.run([engine.name, "rm", made], capture_output=True, check=True)
    yield name
    subprocess.run([engine.name, "rmi", name], capture_output=True, check=True)


@pytest.fixture
def results(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a directory whose path can break a command line; pyxis cannot mount such a path."""
    hard = """a b:c,d"e'f ü $(x)"""
    path = tmp_path / ("a b'f ü (x)" if "pyxis" in request.node.name else hard) / "results"
    path.mkdir(parents=True)
    return path


def test_the_caller_gets_output_exit_code_and_artifacts(
    runtime: Runtime, results: Path, containers: Callable[[], list[str]]
) -> None:
    outcome, log = run(runtime, spec(runtime, results, "echo out; echo err >&2; id > id; exit 7"))
    assert outcome.exit_code == 7
    # Slurm reports that a step failed, and snakeval does not use that as the reason.
    said = [line for line in log.splitlines() if not line.startswith("srun: error: n")]
    assert sorted(said) == ["err", "out"]
    assert f"uid={os.getuid()}" in (results / "id").read_text()
    assert (results / "id").stat().st_uid == os.getuid()
    assert containers() == []


#: A harness that stays until the test has seen it.
UNTIL_SEEN = "touch up; while [ ! -e seen ]; do sleep 0.05; done"


@contextmanager
def seeing(results: Path, look: Callable[[], object]) -> Iterator[None]:
    """Look at a harness in a thread, from its start until it may end."""

    def work() -> None:
        try:
            eventually((results / "up").exists, "the harness does not start")
            look()
        finally:
            (results / "seen").touch()

    with ThreadPoolExecutor() as pool:
        looking = pool.submit(work)
        yield
        looking.result()


def test_only_the_harness_sees_a_secret_and_sees_it_unchanged(
    runtime: Runtime, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", NASTY)
    hub = {
        "HF_HOME": str(results.parent / "hub"),
        "HF_TOKEN": "hub-token",
        "https_proxy": "http://w@p",
    }
    for name, value in hub.items():
        monkeypatch.setenv(name, value)
    mounts, env = folders(hub) if runtime.isolated else ([], {})
    write = 'printf %s "$KEY" > key; echo "$HF_TOKEN $https_proxy" > "$HF_HOME/given"'
    secrets = {"KEY": "CANARY", **passed_on(hub)}
    what = spec(runtime, results, f'mkdir -p "$HF_HOME"; {write}; {UNTIL_SEEN}', secrets=secrets)
    what = replace(what, env={**what.env, **env}, mounts=(*what.mounts, *mounts))
    seen: list[str] = []

    def look() -> None:
        for command in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.append(command.read_text(errors="replace"))
            except OSError:
                continue
        if runtime.name in ("docker", "podman"):
            inspect = [runtime.name, "inspect", what.name]
            seen.append(subprocess.run(inspect, capture_output=True, text=True).stdout)
            assert what.name in seen[-1]
            assert "HF_HOME=/mnt/snakeval/hf_home" in seen[-1]
        if runtime.name == "pyxis":
            show = ["scontrol", "show", "step", os.environ["SLURM_JOB_ID"]]
            seen.append(subprocess.run(show, capture_output=True, text=True).stdout)
            assert "State=RUNNING" in seen[-1]

    with seeing(results, look):
        outcome, log = run(runtime, what)
    assert outcome.exit_code == 0, log
    assert (results / "key").read_text() == NASTY
    assert any("sleep" in text for text in seen)
    assert (results.parent / "hub" / "given").read_text() == "hub-token http://w@p\n"
    values = ("second line", "hub-token", "http://w@p")
    assert [text for value in values for text in [*seen, log] if value in text] == []
    assert not list(results.rglob("executed"))
    assert not Path("executed").exists()


def test_the_shell_text_runs_the_same_container(
    runtime: Runtime, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = spec(runtime, results, "echo done > by-hand")
    done = subprocess.run(["bash", "-ec", runtime.shell(what)], capture_output=True, text=True)
    assert (done.returncode, (results / "by-hand").read_text()) == (0, "done\n"), done.stderr


def test_secrets_come_from_the_specs_environment(
    runtime: Runtime, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", "of this process")
    environ = {"CANARY": "of another", "PATH": os.environ["PATH"]}
    secrets = {"KEY": "CANARY", "OTHER": "HOME"}
    command = "echo $KEY ${OTHER-unset}"
    outcome, log = run(runtime, spec(runtime, results, command, secrets=secrets, environ=environ))
    assert (outcome.exit_code, log) == (0, "of another unset\n")


def test_the_images_entry_point_receives_the_arguments(
    engine: Runtime, results: Path, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", NASTY)
    what = replace(
        spec(engine, results, "", secrets={"KEY": "CANARY"}), image=image, entry_point=True
    )
    for argv, said in (((), "its own command"), (("a  b", "$c"), "a  b $c")):
        outcome, log = run(engine, replace(what, argv=argv))
        assert (outcome.exit_code, log) == (0, f"{NASTY} {said}\n")
        text = engine.shell(replace(what, argv=argv))
        by_hand = subprocess.run(["bash", "-ec", text], capture_output=True, text=True)
        assert by_hand.stdout == f"{NASTY} {said}\n", by_hand.stderr
        assert "second line" not in text
        assert "--entrypoint" not in text


def test_an_entry_point_receives_the_arguments_or_the_images_own() -> None:
    what = ContainerSpec("n", "image", (), "/", entry_point=True)
    image = {"Entrypoint": ["server"], "Cmd": ["--all"]}
    assert what.completed(image).argv == ("server", "--all")
    assert replace(what, argv=("-x",)).completed(image).argv == ("server", "-x")
    assert what.completed({"Entrypoint": None, "Cmd": ["server"]}).argv == ("server",)
    with pytest.raises(EvaluationError, match="image image has no command; write `command`"):
        what.completed({"Entrypoint": None, "Cmd": None})


def test_a_stopped_harness_may_end_on_its_own(
    runtime: Runtime, results: Path, containers: Callable[[], list[str]]
) -> None:
    command = "trap 'echo bye > bye; exit 3' TERM; touch up; while true; do sleep 0.1; done"
    patient = spec(runtime, results, command, grace=int(HUNG))
    assert stop_when_up(runtime, patient, results).exit_code == 3
    assert (results / "bye").exists()
    assert containers() == []
    assert marked([patient.name]) == []


def test_a_stop_kills_a_harness_that_does_not_end(
    runtime: Runtime, results: Path, containers: Callable[[], list[str]]
) -> None:
    command = "trap '' TERM; touch up; while true; do sleep 0.1; done"
    assert stop_when_up(runtime, spec(runtime, results, command), results).exit_code == 137
    assert containers() == []


def stop_when_up(runtime: Runtime, what: ContainerSpec, results: Path) -> Outcome:
    stop = Event()

    def stop_it() -> None:
        while not (results / "up").exists():
            time.sleep(0.02)
        stop.set()

    threading.Thread(target=stop_it, daemon=True).start()
    with (results.parent / "log").open("wb") as log:
        return runtime.run(what, log, stop)


def test_the_log_has_output_while_the_harness_runs(runtime: Runtime, results: Path) -> None:
    command = "echo early; while [ ! -e seen ]; do sleep 0.05; done"
    log = results.parent / "log"

    def look() -> None:
        while not (log.exists() and "early" in log.read_text()):
            time.sleep(0.02)
        (results / "seen").touch()

    threading.Thread(target=look, daemon=True).start()
    with log.open("wb") as file:
        assert runtime.run(spec(runtime, results, command), file, Event()).exit_code == 0


def test_the_next_attempt_removes_the_rest_of_a_killed_one(runtime: Runtime, results: Path) -> None:
    left = spec(runtime, results, "while true; do date +%s%N > left; sleep 0.05; done")
    if runtime.name in ("docker", "podman"):
        words = ["sh", "-c", left.argv[2]]
        command = [runtime.name, "run", "--detach", "--name", left.name, "--network", "host"]
        mount = f"type=bind,source={results.parent.parent},target=/above"
        subprocess.run([*command, "--mount", mount, BUSYBOX, *words], check=True)
        outcome, log = run(runtime, spec(runtime, results, "true"))
        assert outcome.exit_code == 0, log
        return
    orphan = subprocess.Popen(
        left.argv, cwd=results, env={**os.environ, "SNAKEVAL_CONTAINER": left.name}
    )
    while not (results / "left").exists():  # until then it may have no environment to be known by
        time.sleep(0.02)
    assert run(runtime, spec(runtime, results, "true"))[0].exit_code == 0
    assert orphan.wait(timeout=HUNG) == -9


def test_limits_hold_inside(engine: Runtime, results: Path) -> None:
    command = (
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes || cat /sys/fs/cgroup/memory.max;"
        "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us || cut -d' ' -f1 /sys/fs/cgroup/cpu.max;"
        "df -m /dev/shm | tail -1"
    )
    what = spec(engine, results, f"({command}) 2>/dev/null", cpus=1, mem_mb=64, shm_mb=7)
    outcome, log = run(engine, what)
    memory, quota, shm = log.splitlines()
    assert outcome.exit_code == 0
    assert int(memory) == 64 * 1024 * 1024
    assert int(quota) == 100_000
    assert shm.split()[1] == "7"


def test_the_outcome_distinguishes_out_of_memory(engine: Runtime, results: Path) -> None:
    hungry = "x=aaaaaaaaaaaaaaaa; while true; do x=$x$x; done"
    assert run(engine, spec(engine, results, hungry, mem_mb=16))[0].out_of_memory
    assert not run(engine, spec(engine, results, "exit 1", mem_mb=16))[0].out_of_memory


def test_a_container_removed_from_outside_has_failed(
    engine: Runtime, results: Path, containers: Callable[[], list[str]]
) -> None:
    what = spec(engine, results, "touch up; sleep 1800")

    def remove() -> None:
        while not (results / "up").exists():
            time.sleep(0.02)
        subprocess.run([engine.name, "rm", "--force", what.name], capture_output=True, check=True)

    removing = threading.Thread(target=remove)
    removing.start()
    outcome, _ = run(engine, what)
    removing.join()
    assert outcome.exit_code in (137, 143)
    assert not outcome.out_of_memory
    assert containers() == []


@pytest.mark.docker
def test_labels_name_the_run_and_the_evaluation(results: Path) -> None:
    runtime = connect("docker")
    what = spec(runtime, results, UNTIL_SEEN, labels={"snakeval.run": "r"})
    labels: list[dict[str, str]] = []

    def look() -> None:
        labels.append(docker.from_env().containers.get(what.name).labels)

    with seeing(results, look):
        run(runtime, what)
    assert labels[0]["snakeval.run"] == "r"


OWNER = """
import json, sys, threading
from snakeval.runtimes.spec import ContainerSpec, Mount
from snakeval.runtimes import connect
data = json.loads(sys.argv[2])
data["mounts"] = tuple(Mount(*mount) for mount in data["mounts"])
with open(sys.argv[3], "wb") as log:
    connect(sys.argv[1]).run(ContainerSpec(**data), log, threading.Event())
"""


def exists(runtime: Runtime, name: str, pid: int) -> bool:
    """Return whether anything of the container remains, running or not."""
    if runtime.name not in ("docker", "podman"):
        return bool(marked([name])) or (runtime.name == "process" and process_lives(pid))
    command = [runtime.name, "ps", "--all", "--quiet", "--filter", f"name={name}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return bool(done.stdout.split())


def test_kill_9_of_its_owner_leaves_nothing(
    runtime: Runtime, results: Path, tmp_path: Path
) -> None:
    what = spec(runtime, results, "sleep 1800 & echo $! > up; wait")
    what = replace(what, name=f"snakeval-owned-{os.getpid()}")
    data = {field.name: getattr(what, field.name) for field in fields(ContainerSpec)}
    data["mounts"] = [astuple(mount) for mount in what.mounts]
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, runtime.name, json.dumps(data), str(tmp_path / "log")]
    )
    until = time.monotonic() + HUNG
    up = results / "up"
    while not (up.exists() and up.read_text().strip()):
        assert owner.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    assert exists(runtime, what.name, int(up.read_text()))
    owner.kill()
    owner.wait()
    until = time.monotonic() + HUNG
    try:
        while exists(runtime, what.name, int(up.read_text())):
            assert time.monotonic() < until, "something is left"
            time.sleep(0.1)
    finally:
        if runtime.name in ("docker", "podman"):
            command = [runtime.name, "rm", "--force", what.name]
            subprocess.run(command, capture_output=True, check=False)
