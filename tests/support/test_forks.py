"""A fork is what a new process would be.

Long because it compares every property of a fork with that of a new process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psutil
import pytest

from support import fork_server, forks
from support.command import says, workspace
from support.limits import HUNG
from support.screen import Screen
from support.served import wait_for

#: Prints whatever a program can know of the process that it is.
PROBE = """
import sys
if {imports}:
    sys.path.append({support!r})
    import fork_server
    fork_server.import_all()
    sys.path.remove({support!r})

import atexit, functools, gc, json, locale, logging, multiprocessing.process, os, resource
import signal, threading, time, warnings
from pathlib import Path

def of_snakemake():
    import snakemake.workflow
    from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry
    from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry
    registries = ExecutorPluginRegistry, LoggerPluginRegistry
    return snakemake.workflow.Workflow._rundir, [sorted(r().plugins) for r in registries]

def file(stream):
    kept = "mode encoding errors newlines line_buffering write_through closed"
    return [str(getattr(stream, name)) for name in kept.split()] + [
        stream.isatty(), str(stream.buffer.name), type(stream.buffer).__name__]

def filled():
    found = [o for o in gc.get_objects() if isinstance(o, functools._lru_cache_wrapper)]
    return sorted(
        f"{{o.__module__}}.{{o.__qualname__}}" for o in found
        if "snake" in str(o.__module__) and o.cache_info().currsize)

def handlers():
    named = {{"": logging.root, **logging.Logger.manager.loggerDict}}
    return {{name: [[type(h).__name__ for h in log.handlers], log.level, log.disabled]
            for name, log in sorted(named.items()) if isinstance(log, logging.Logger)}}

main = sys.modules["__main__"]
open_files = sorted(os.readlink(f"/proc/self/fd/{{n}}").partition(":")[0]
                    for n in map(int, os.listdir("/proc/self/fd")) if n > 2
                    and os.path.exists(f"/proc/self/fd/{{n}}"))
print(json.dumps({{
    "arguments": [sys.argv, sys.orig_argv, sys.executable, list(sys.flags)],
    "path": sys.path,
    "main": [main.__name__, main.__file__, main.__package__, main.__spec__.name],
    "environment": dict(os.environ),
    "shown command": Path("/proc/self/cmdline").read_text().rstrip("\\0"),
    "shown environment": sorted(Path("/proc/self/environ").read_text().rstrip("\\0").split("\\0")),
    "directory": [os.getcwd(), multiprocessing.process.ORIGINAL_DIR],
    "snakemake": of_snakemake() if {imports} else None,
    "session": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
    "signals": {{int(n): str(signal.getsignal(n)) for n in signal.valid_signals()}},
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "ignored": [line for line in Path("/proc/self/status").read_text().splitlines()
                if line.startswith(("SigBlk", "SigIgn"))],
    "open files": open_files,
    "standard files": [file(f) for f in (sys.stdin, sys.stdout, sys.stderr)],
    "kept files": [sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__],
    "threads": threading.active_count(),
    "main thread": threading.main_thread() is threading.current_thread(),
    "logging": handlers(),
    "warnings": [str(f) for f in warnings.filters],
    "caches": filled(),
    "limits": [resource.getrlimit(n) for n in range(resource.RLIMIT_AS + 1)],
    "mask": os.umask(0o022),
    "niceness": os.nice(0),
    "zone": time.tzname,
    "locale": [locale.getlocale(), sys.getfilesystemencoding(), locale.getpreferredencoding()],
    "interpreter": [gc.isenabled(), gc.get_threshold(), sys.getrecursionlimit(),
                    sys.gettrace() is None, sys.getswitchinterval(), sys.warnoptions],
    "current process": [multiprocessing.current_process().name,
                        multiprocessing.get_start_method(), multiprocessing.parent_process()],
}}))
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory of another name than the server's, which commands run in."""
    place = tmp_path / "it's a place"
    place.mkdir()
    return place


def process(place: Path, code: str, *words: str, **options: Any) -> forks.Process:
    (place / "program.py").write_text(textwrap.dedent(code))
    options = dict[str, Any](cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE) | options
    command = [sys.executable, "-m", "program", *words]
    return forks.Process(command, text=True, **options)


def said(each: forks.Process) -> str:
    out, error = each.communicate(timeout=HUNG)
    assert (each.returncode, error) == (0, "")
    return str(out)


#: What the imports change, which take two seconds and are the same in a group of its own.
OF_IMPORTS = {"caches", "logging", "path", "warnings"}


@pytest.mark.parametrize(
    ("options", "imports"),
    [
        ({"start_new_session": True, "stdin": subprocess.DEVNULL}, True),
        ({"process_group": 0, "stdin": subprocess.PIPE}, False),
    ],
    ids=["in a session of its own", "in a group of its own"],
)
def test_a_program_sees_no_difference(place: Path, options: dict[str, Any], imports: bool) -> None:
    code = PROBE.format(support=str(Path(forks.__file__).parent), imports=imports)
    words = ("two words", "ü", "")
    env = {**os.environ, "SNAKEVAL_HOME": "/some where", "ü": "ä", "TZ": "Asia/Tokyo"}
    fork = process(place, code, *words, env=env, **options)
    seen = json.loads(said(fork))
    assert fork.refused == ""
    with forks.real_processes():
        real = json.loads(said(process(place, code, *words, env=env, **options)))
    assert seen["caches"] == []
    for what, value in real.items():
        assert seen[what] == value or (what in OF_IMPORTS and not imports), what


def test_forks_do_not_share_what_is_random(place: Path) -> None:
    code = """
        import random, tempfile, uuid
        import numpy
        print(random.random(), numpy.random.random(), uuid.uuid4(), tempfile.mktemp())
    """
    seen = [said(process(place, code)).split() for _ in range(3)]
    assert all(len({*values}) == 3 for values in zip(*seen, strict=True))


@pytest.mark.parametrize(
    ("code", "exit_code", "last"),
    [
        ("import sys; print('done')", 0, ""),
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('why')", 1, "why"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, ""),
        ("import atexit, sys; atexit.register(sys.stderr.write, 'late')", 0, "late"),
        ("import sys; sys.stderr.write('no line'); sys.exit(256 + 3)", 3, "no line"),
        (
            "import sys, threading, time\n"
            "def late(): time.sleep(0.2); print('from a thread', file=sys.stderr)\n"
            "threading.Thread(target=late).start()",
            0,
            "from a thread",
        ),
    ],
)  # fmt: skip
def test_it_ends_as_others_do(place: Path, code: str, exit_code: int, last: str) -> None:
    each = process(place, code)
    _, error = each.communicate(timeout=HUNG)
    assert each.refused == ""
    assert each.returncode == exit_code
    assert error.rpartition("\n")[2] == last or error.splitlines()[-1] == last


def test_all_that_it_printed_arrives_or_it_fails_as_others_do(place: Path) -> None:
    assert said(process(place, "print('x' * 100_000, end='')")) == "x" * 100_000

    def fills_the_disk() -> int:
        with Path("/dev/full").open("w") as full:
            return process(place, "print('x')", stdout=full).wait(timeout=HUNG)

    failed = fills_the_disk()
    with forks.real_processes():
        assert failed == fills_the_disk() != 0


WAITS = """
    import sys, time
    print("here", flush=True)
    time.sleep(1800)
"""


def begun(place: Path, **options: Any) -> forks.Process:
    each = process(place, WAITS, **options)
    assert each.stdout
    assert each.stdout.readline() == "here\n"
    assert each.refused == ""
    return each


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_it_is_ended_by_signals_as_others_are(place: Path, number: signal.Signals) -> None:
    each = begun(place, start_new_session=True)
    assert each.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        each.wait(0.05)
    os.killpg(each.pid, number)
    _, error = each.communicate(timeout=HUNG)
    assert each.returncode == -number
    assert ("KeyboardInterrupt" in error) == (number == signal.SIGINT)


def test_its_pid_is_kept_until_it_is_waited_for(place: Path) -> None:
    each = begun(place)
    each.kill()
    wait_for(lambda: psutil.Process(each.pid).status() == psutil.STATUS_ZOMBIE, "it lives")
    assert each.wait() == -signal.SIGKILL
    assert not psutil.pid_exists(each.pid)
    each.send_signal(signal.SIGTERM)  # as of any that has been waited for: nothing happens


def test_its_input_is_what_it_is_given(place: Path) -> None:
    each = process(place, "print(input()[::-1])", stdin=subprocess.PIPE)
    assert each.communicate("abc\n", timeout=HUNG)[0] == "cba\n"


def test_files_are_passed_to_it_under_their_numbers(place: Path) -> None:
    code = """
        import os, sys
        for number in map(int, sys.argv[1:]):
            print(os.read(number, 10).decode(), os.get_inheritable(number))
        print(len(os.listdir("/proc/self/fd")))  # with that of the directory itself
    """
    with (
        (place / "a").open("w+") as first,
        (place / "b").open("w+") as second,
        (place / "c").open("w+"),
    ):
        numbers = [second.fileno(), first.fileno()]
        for number in numbers:
            os.pwrite(number, str(number).encode(), 0)
        each = process(place, code, *map(str, numbers), pass_fds=numbers)
        assert said(each) == f"{numbers[0]} True\n{numbers[1]} True\n6\n"
    assert each.refused == ""


def test_it_began_when_it_began(place: Path) -> None:
    with forks.real_processes():
        before = process(place, WAITS)
    each = begun(place)
    with forks.real_processes():
        after = process(place, WAITS)
    started = [psutil.Process(p.pid).create_time() for p in (before, each, after)]
    assert started == sorted(started)
    for p in (before, each, after):
        p.kill()
        p.communicate()


@pytest.mark.parametrize(
    ("env", "because"),
    [
        ({"PYTHONHASHSEED": "0"}, "PYTHONHASHSEED"),
        ({"COVERAGE_PROCESS_START": ""}, "COVERAGE_PROCESS_START"),
        ({"LC_ALL": "C"}, "LC_ALL"),
        ({"HOME": "/nonexistent"}, "HOME"),
        ({"COLUMNS": "33"}, "COLUMNS"),
        ({"LONG": "x" * 20_000}, "too large an environment"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_where_imports_would_differ_it_is_a_new_process(
    place: Path, env: dict[str, str], because: str
) -> None:
    each = process(place, "import os; print(os.getppid())", env={**os.environ, **env})
    assert int(said(each)) == os.getpid()
    assert because in each.refused


@pytest.mark.real_processes
def test_a_test_may_ask_for_new_processes(place: Path) -> None:
    assert int(said(process(place, "import os; print(os.getppid())"))) == os.getpid()


def test_an_absent_directory_is_an_error_as_of_others(place: Path) -> None:
    with pytest.raises(FileNotFoundError):
        process(place, "", cwd=place / "absent")


def test_a_terminal_is_its_own(place: Path) -> None:
    code = """
        import os, sys
        print(all(f.isatty() for f in (sys.stdin, sys.stdout, sys.stderr)), end=" ")
        print(os.tcgetpgrp(0) == os.getpid(), sys.stdout.line_buffering)
    """
    (place / "program.py").write_text(textwrap.dedent(code))
    screen = Screen([sys.executable, "-m", "program"], cwd=place)
    assert screen.end() == 0
    assert screen.process.refused == ""
    assert screen.text.strip() == f"True True {not os.environ.get('PYTHONUNBUFFERED')}"


@pytest.mark.parametrize("kind", ["a fork", "a new process"])
def test_snakemake_is_a_child_of_the_command_that_starts_it(tmp_path: Path, kind: str) -> None:
    work = workspace(tmp_path, slow=says(1, waits_for=tmp_path / "go"))
    work.command()
    with forks.real_processes() if kind == "a new process" else nullcontext():
        command = forks.Process(
            [sys.executable, "-m", "snakeval", "run", "--config", "config.yaml"],
            cwd=work.directory, env=work.environment, start_new_session=True, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    wait_for(lambda: [*work.directory.glob("results/*/m/slow/logs/*")], "no harness")
    # As a fork it has another child, from which its children come.
    children = psutil.Process(command.pid).children()
    (snakemake,) = (child for child in children if child.cmdline() != [*fork_server.NURSERY])
    seen = {
        "name": snakemake.name(),
        "group": os.getpgid(snakemake.pid) == snakemake.pid,
        "session": os.getsid(snakemake.pid) == command.pid,
        "home": snakemake.environ()["SNAKEVAL_HOME"] == str(work.home),
        "cwd": snakemake.cwd() == str(work.directory),
        "words": snakemake.cmdline()[1:3],
    }
    (tmp_path / "go").touch()
    output, _ = command.communicate(timeout=HUNG)
    assert command.returncode == 0, output
    words = [str(Path(sys.executable).with_name("snakemake")), "--snakefile"]
    assert seen == {
        "name": "snakemake", "group": True, "session": True, "home": True, "cwd": True,
        "words": words,
    }  # fmt: skip
