"""Imports Snakemake and snakeval once, and turns each fork of itself into a command.

`support.forks` starts this program and sends it requests. A fork has the directory, environment,
arguments, files and session of the process that it replaces, and `/proc` shows them. The server
imports, and calls only what depends on nothing but installed files. It notes which variables the
imports read, and refuses a command that has another value of one of them.

Long because it is one program: its parts run in one process and depend on what it imported.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import inspect
import io
import json
import multiprocessing.process
import os
import pkgutil
import re
import runpy
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fcntl import F_DUPFD, fcntl, ioctl
from pathlib import Path
from platform import machine
from termios import TIOCSCTTY
from typing import Any, NoReturn

#: Besides all of snakeval; but for the first two, what those import when they need it.
_IMPORTS = (
    "snakemake.cli", "snakemake_logger_plugin_snakeval", "snakemake.executors.local",
    "snakemake.profiles", "snakemake.report.html_reporter", "snakemake.storage", "smart_open",
    "nbformat", "pandas.io.formats.csvs", "pandas.core.methods.to_dict", "jinja2",
    "rich.live", "rich.progress", "omegaconf", "snakemake_executor_plugin_lepton.executor",
    "scipy.stats", "platformdirs", "pyarrow.pandas_compat", "google.protobuf.struct_pb2",
)  # fmt: skip
#: Keep libraries from starting threads when they are imported: what has threads cannot be forked.
WITHOUT_THREADS = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
#: Arguments and a variable of the server that no one reads: room for those of its forks.
ROOM, ROOM_VARIABLE = "-" * 16_384, "SNAKEVAL_FORKS_ROOM"
#: What `/proc` shows of a process from which the children of a command come.
NURSERY = (sys.executable, __file__, "nursery")
#: Names a program that each fork runs first, as a new process runs `sitecustomize`.
FIRST_VARIABLE = "SNAKEVAL_FORKS_FIRST"
#: What an interpreter or a library in C reads when it starts.
READ_AT_START = re.compile(
    r"PYTHON|LC_|LANG|LD_|MALLOC_|OMP_|OPENBLAS_|MKL_|COVERAGE_|LEPTON_DEPLOYMENT_NAME"
)
#: Read by imports that read them again when it matters (solvers, Snakemake's parser), or only where
#: another is set (leptonai, on the platform itself).
_READ_IN_VAIN = {
    *("PATH", "TMPDIR", "TMP", "TEMP", "XDG_CONFIG_DIRS", "XDG_CONFIG_HOME"),
    "LEPTON_WORKSPACE_ID",
}
#: How Snakemake begins the shell command of a rule.
_BY_SHELL = "set -euo pipefail;  "
#: Of the words that a shell only passes on: neither quotes nor spaces, nor what it replaces.
_PLAIN = re.compile(r"[\w@%+=:,./-]+")
#: How the text of `snakeval.ledger.beside` ends that starts a gateway.
_GATEWAY = "from snakeval.ledger.__main__ import main; sys.exit(main())"
_SET_NAME, _SET_MM, _SET_MM_MAP = 15, 35, 14
_COLLAPSE, _LARGE_PAGE = 25, 2 << 20
#: Of clone(2): the number of the system call by machine, and who is the parent.
_CLONE, _CLONE_PARENT = {"x86_64": 56, "aarch64": 220}, 0x8000
_LENGTH = struct.Struct("!I")
_MOST_FILES = 64


# --- messages -----------------------------------------------------------------------------


def send(channel: socket.socket, message: Any, files: Sequence[int] = ()) -> None:
    """Send a message, and duplicates of open files with it."""
    data = json.dumps(message).encode("utf-8", "surrogatepass")
    socket.send_fds(channel, [_LENGTH.pack(len(data))], files)
    channel.sendall(data)


def receive(channel: socket.socket) -> tuple[Any, list[int]]:
    """Return the next message and its files; None, once the other side is gone."""
    header, files, _, _ = socket.recv_fds(channel, _LENGTH.size, _MOST_FILES)
    if not header:
        return None, []
    (length,) = _LENGTH.unpack(header)
    data = b""
    while len(data) < length:
        part = channel.recv(length - len(data))
        if not part:
            raise EOFError("the other side ended within a message")
        data += part
    return json.loads(data.decode("utf-8", "surrogatepass")), files


def request_of(asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what `subprocess` is asked to start; None, if a fork cannot stand for it."""
    plain = {"preexec_fn": None, "umask": -1, "uid": None, "gid": None, "gids": None}
    if any(asked[name] != value for name, value in plain.items()):
        return None
    env = os.environ if asked["env"] is None else asked["env"]
    request = {
        "command": _script(asked, env) if asked["shell"] else _command(asked, env),
        "cwd": os.fspath(asked["cwd"] or os.getcwd()),  # noqa: PTH109
        "env": {os.fspath(name): os.fspath(value) for name, value in env.items()},
        "session": asked["start_new_session"],
        "group": asked["process_group"],
        "terminal": False,
        "passed": [*map(int, asked["pass_fds"])],
    }
    return request if request["command"] else None


def _script(asked: Mapping[str, Any], env: Mapping[str, str]) -> list[str]:
    """Return the words of a script or a module of a rule, which Snakemake runs by a shell."""
    text = asked["args"]
    if not isinstance(text, str) or not text.startswith(_BY_SHELL):
        return []
    words = text.removeprefix(_BY_SHELL).replace(" $PPID", f" {os.getpid()}").split(" ")
    if not all(map(_PLAIN.fullmatch, words)):
        return []
    if words[:2] == ["python", "-m"]:
        found = shutil.which("python", path=env.get("PATH"))
        return words if found == str(Path(sys.executable).with_name("python")) else []
    is_script = len(words) == 2 and words[0] == sys.executable
    return words if is_script and "/.snakemake/scripts/" in words[1] else []


def _command(asked: Mapping[str, Any], env: Mapping[str, str]) -> list[str]:
    """Return the words of a `python -m ...` or of a script of this environment, as `/proc` does.

    Of what `python -c` does, only a gateway is known to be the same in a fork.
    """
    args = asked["args"]
    if isinstance(args, str | bytes) or not args or asked["executable"]:
        return []
    words = [str(os.fspath(word)) for word in args]
    if words[:2] == [sys.executable, "-m"]:
        return words
    if words[:2] == [sys.executable, "-c"] and words[2].endswith(_GATEWAY):
        return words
    found = shutil.which(words[0], path=env.get("PATH"))
    if found and Path(found).name in ("snakemake", "snakeval"):
        with Path(found).open("rb") as script:
            if script.readline() == f"#!{sys.executable}\n".encode():
                return [sys.executable, found, *words[1:]]
    return []


def files_of(asked: Mapping[str, Any]) -> list[int]:
    """Return what it gets as its standard input, output and error, and what is passed to it."""
    given = (asked["p2cread"], asked["c2pwrite"], asked["errwrite"])
    standard = [n if file == -1 else file for n, file in enumerate(given)]
    return [*standard, *map(int, asked["pass_fds"])]


def close_pipes(process: Any, asked: Mapping[str, Any]) -> None:
    """Close the ends of pipes that are the other process's."""
    ends = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
    process._close_pipe_fds(*(asked[end] for end in ends))


# --- what the imports saw -----------------------------------------------------------------


def import_all() -> None:
    """Import what commands import."""
    import snakeval

    found = pkgutil.walk_packages(snakeval.__path__, "snakeval.")
    own = [module.name for module in found if not module.name.endswith("__main__")]
    for name in (*_IMPORTS, *own):
        importlib.import_module(name)


def prepare() -> None:
    """Make what each command would make again: plugins' lists, tables, templates, scripts."""
    for kind in ("Executor", "Logger", "Report", "Scheduler", "Storage"):
        registry = f"snakemake_interface_{kind.lower()}_plugins.registry:{kind}PluginRegistry"
        pkgutil.resolve_name(registry)()
    # What it makes is thrown away, but Python runs code faster that has run before.
    pkgutil.resolve_name("snakemake.cli:get_argument_parser")()
    plugins = importlib.import_module("snakeval.plugins")
    for kind in plugins.BUILT_IN:
        plugins.installed(kind)
    for name in ("catalogue:_by_name", "catalogue:harnesses", "results.report:page",
                 "results.report:_script"):  # fmt: skip
        pkgutil.resolve_name(f"snakeval.{name}")()
    for name in ("run.sh.j2", "run_all.sh.j2"):
        pkgutil.resolve_name("snakeval.shell:template")(name)


class Imports:
    """All that commands import, imported; and what of the environment it was made from."""

    def __init__(self) -> None:
        self._environment = {k: v for k, v in os.environ.items() if k not in WITHOUT_THREADS}
        self._read: set[str] = set()
        self._asked_where: set[str] = set()
        self._directory = Path.cwd()
        with self._watched():
            import_all()
            prepare()
        threads = os.listdir("/proc/self/task")  # noqa: PTH208
        if len(threads) > 1:
            raise RuntimeError(f"imports started {len(threads) - 1} threads")
        if unknown := self._asked_where - {"multiprocessing.process", "rich", "snakemake.workflow"}:
            raise RuntimeError(f"imports of {unknown} ask for the working directory")

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Note which variables are read, and who asks for the working directory."""
        kind = type(os.environ)
        read, getcwd = kind.__getitem__, os.getcwd

        def noted(environ: os._Environ[str], name: str) -> str:
            self._read.add(os.fsdecode(name))  # os.environb is of the same kind
            return read(environ, name)

        def where() -> str:
            frame = sys._getframe(1)
            while frame.f_back and frame.f_globals["__name__"] in ("os", "posixpath", "pathlib"):
                frame = frame.f_back
            self._asked_where.add(frame.f_globals["__name__"])
            return getcwd()

        kind.__getitem__, os.getcwd = noted, where  # type: ignore[method-assign]
        try:
            yield
        finally:
            kind.__getitem__, os.getcwd = read, getcwd  # type: ignore[method-assign]

    def moved(self, directory: str) -> None:
        """Put a fork's directory where the imports have noted the server's."""
        import rich
        import snakemake.workflow

        multiprocessing.process.ORIGINAL_DIR = directory  # type: ignore[attr-defined]
        rich._IMPORT_CWD = directory
        snakemake.workflow.Workflow._rundir = directory

    def differ(self, environment: Mapping[str, str]) -> list[str]:
        """Return the variables by which they could come out otherwise."""
        at_start = {n for n in {*self._environment, *environment} if READ_AT_START.match(n)}
        names = (at_start | self._read) - _READ_IN_VAIN - {*WITHOUT_THREADS}
        return [n for n in sorted(names) if self._environment.get(n) != environment.get(n)]


# --- what /proc shows ---------------------------------------------------------------------


class Shown:
    """The memory in which the kernel looks for a process's command line and environment."""

    def __init__(self) -> None:
        self._start, self._args_end, self._end = (_stat(field) for field in (48, 49, 51))
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.sbrk.restype = ctypes.c_void_p
        #: A fork has the same.
        self._stack, *self._code_data_heap = map(_stat, (28, 26, 27, 45, 46, 47))

    def show(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Put another command and environment there."""
        args, env = _block(command), _block(f"{n}={text}" for n, text in environment.items())
        ctypes.memset(self._start, 0, self._end - self._start)
        ctypes.memmove(self._start, args, len(args))
        ctypes.memmove(self._args_end, env, len(env))
        self._tell_bounds(self._start + len(args), self._args_end + len(env))
        # The name of a script is the script's.
        program = command[0] if command[1] in ("-m", "-c") else command[1]
        self._libc.prctl(_SET_NAME, os.fsencode(Path(program).name), 0, 0, 0)

    def has_room(self, command: Sequence[str], environment: Mapping[str, str]) -> bool:
        """Whether they are short enough."""
        args, env = _block(command), _block(f"{n}={text}" for n, text in environment.items())
        return len(args) < self._args_end - self._start and len(env) < self._end - self._args_end

    def _tell_bounds(self, args_end: int, env_end: int) -> None:
        """Tell the kernel where both end. Where it does not listen, zeros follow them."""
        code_data_heap = (*self._code_data_heap, self._libc.sbrk(0))
        bounds = (self._stack, self._start, args_end, self._args_end, env_end)
        # prctl_mm_map of prctl(2); the last three: no other auxiliary vector, no other program.
        mm_map = struct.pack("=11QQIi", *code_data_heap, *bounds, 0, 0, -1)
        self._libc.prctl(_SET_MM, _SET_MM_MAP, mm_map, len(mm_map), 0)


def _block(words: Any) -> bytes:
    return b"".join(os.fsencode(word) + b"\0" for word in words)


def _stat(number: int) -> int:
    """A field of /proc/self/stat, by its number in proc(5)."""
    text = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
    return int(text.rpartition(")")[2].split()[number - 3])


# --- forks --------------------------------------------------------------------------------


class Server:
    """Forks what it is asked for, and says how it ended to whoever waits for it.

    Several processes may ask, each through a channel of its own.
    """

    def __init__(self, channels: list[socket.socket]) -> None:
        self._shown = Shown()
        self._imports = Imports()
        #: The first ends the server when it is closed; others come and go, through the listener.
        self._channels = channels
        self._listener = channels.pop() if len(channels) > 1 else None
        # A fork goes through these, to forget what they know of folders. It imports almost nothing
        # from the folders of packages.
        for place in {*sys.path_importer_cache} - {*sys.path}:
            del sys.path_importer_cache[place]
        gc.collect()
        gc.freeze()
        _use_large_pages()

    def serve(self) -> dict[str, Any] | None:
        """Return in each fork what it is to run, and in the server None, at the end."""
        while True:
            waiting = [*self._channels, *filter(None, [self._listener])]
            for ready in select.select(waiting, [], [])[0]:
                if ready is self._listener:
                    channel, _ = ready.accept()
                    receive(channel)  # its environment, which only the first one decides
                    self._channels.append(channel)
                    continue
                try:
                    request, files = receive(ready)
                    if request is not None and self._is_fork(ready, request, files):
                        found: dict[str, Any] = request
                        return found
                except ConnectionError:
                    request = None
                if request is None:
                    if ready is self._channels[0]:
                        return None
                    self._channels.remove(ready)
                    ready.close()

    def _is_fork(self, channel: socket.socket, request: dict[str, Any], files: list[int]) -> bool:
        """Do what is asked for and answer; whether this is the fork that it asks for."""
        if "reap" in request:
            _, status, usage = os.wait4(request["reap"], 0)
            seconds = usage.ru_utime + usage.ru_stime
            send(channel, {"status": status, "seconds": seconds})
        elif reason := self.refuses(request):
            send(channel, {"refused": reason})
        elif self._forked(channel, request, files):
            return True
        for file in files:
            os.close(file)
        return False

    def _forked(self, channel: socket.socket, request: dict[str, Any], files: list[int]) -> bool:
        """Fork; whether this is the fork."""
        ready, other = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ready.close()
            self.become(request, files, other)
            return True
        other.close()
        handle = os.pidfd_open(pid)
        receive(ready)
        ready.close()
        send(channel, {"pid": pid}, [handle])
        os.close(handle)
        return False

    def show(self, command: Sequence[str]) -> None:
        """Let `/proc` show another command for this process, and no environment."""
        self._shown.show(command, {})

    def refuses(self, request: Mapping[str, Any]) -> str:
        """Say why a fork cannot stand for a process, if it cannot."""
        if not Path(request["cwd"]).is_dir():
            return "its directory is absent"
        if differ := self._imports.differ(request["env"]):
            return f"its environment has other {', '.join(differ)}"
        if not self._shown.has_room(request["command"], request["env"]):
            return "it has too long a command line or too large an environment"
        return ""

    def become(
        self, request: Mapping[str, Any], files: Sequence[int], ready: socket.socket
    ) -> None:
        """Make this fork what a new process would be; as soon as others can see it, say so."""
        for each in filter(None, [*self._channels, self._listener]):
            each.close()
        if request["session"]:
            os.setsid()
        elif request["group"] not in (None, -1):
            os.setpgid(0, request["group"])
        for number, file in enumerate(files[:3]):
            os.dup2(file, number)
        if request["terminal"]:
            own_terminal()
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        self._shown.show(request["command"], request["env"])
        signal.signal(signal.SIGINT, signal.default_int_handler)
        send(ready, {})
        ready.close()
        _keep(dict(zip(request["passed"], files[3:], strict=True)))
        self._imports.moved(os.getcwd())  # noqa: PTH109
        time.tzset()
        importlib.invalidate_caches()
        if numpy := sys.modules.get("numpy"):
            numpy.random.seed()
        open_standard_files()


def _use_large_pages() -> None:
    """Put this process's memory in pages of 2 MB, where the kernel can: a fork copies their list.

    It is five times shorter than that of pages of 4 KB. A fork that writes copies 4 KB as before.
    """
    libc = ctypes.CDLL(None)
    for line in Path("/proc/self/maps").read_text(encoding="ascii", errors="replace").splitlines():
        bounds, mode, _, _, _, *name = line.split(maxsplit=5)
        if mode == "rw-p" and name in ([], ["[heap]"]):
            first, last = (int(bound, 16) for bound in bounds.split("-"))
            start, end = -(-first // _LARGE_PAGE) * _LARGE_PAGE, last // _LARGE_PAGE * _LARGE_PAGE
            if start < end:
                libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _COLLAPSE)


def _keep(files: Mapping[int, int]) -> None:
    """Have these files under these numbers, and no others but the standard ones."""
    last = os.sysconf("SC_OPEN_MAX")
    first = max(files, default=2) + 1
    kept = {number: fcntl(file, F_DUPFD, first) for number, file in files.items()}
    os.closerange(3, first)
    for number, file in kept.items():
        os.dup2(file, number)
    os.closerange(first, last)


def own_terminal() -> None:
    """Let the standard input be the terminal that controls this session."""
    ioctl(0, TIOCSCTTY, 0)


def open_standard_files() -> None:
    """Make sys.stdin, stdout and stderr as the interpreter does at its start."""
    unbuffered = bool(getattr(sys.stdout, "write_through", False))
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        old = getattr(sys, name)
        buffering = 0 if unbuffered and mode == "w" else -1
        file: Any = os.fdopen(number, f"{mode}b", buffering, closefd=False)
        getattr(file, "raw", file).name = f"<{name}>"
        new: Any = io.TextIOWrapper(
            file,
            old.encoding,
            old.errors,
            newline="\n",
            line_buffering=not unbuffered and (name == "stderr" or file.isatty()),
            write_through=unbuffered,
        )
        new.mode = mode
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


class Nursery:
    """Another fork, made before a command does anything: what the command starts is a fork of it.

    Those forks are children of the command, of its session and process group, as what `subprocess`
    starts. It ends with the command.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._channel, other = socket.socketpair()
        #: In a fork of the nursery: what it is to run.
        self.request: dict[str, Any] | None = None
        if os.fork() == 0:
            self._channel.close()
            self._serve(other)
        else:
            other.close()

    def _serve(self, channel: socket.socket) -> None:
        """Return in each fork, and never in the nursery."""
        self._server.show(NURSERY)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with Path(os.devnull).open("r+b") as null:
            for number in range(3):
                os.dup2(null.fileno(), number)
        while True:
            request, files = receive(channel)
            if request is None:
                os._exit(0)
            ready, other = socket.socketpair()
            if (pid := _sibling()) == 0:
                channel.close()
                ready.close()
                self.request = request
                self._server.become(request, files, other)
                return
            other.close()
            receive(ready)
            ready.close()
            for file in files:
                os.close(file)
            send(channel, pid)

    def install(self) -> None:
        """Let `subprocess` ask it for what a fork can stand for."""
        start = subprocess.Popen._execute_child  # type: ignore[attr-defined]
        parameters = inspect.signature(start)

        def execute_child(process: Any, *arguments: Any) -> None:
            asked = parameters.bind(process, *arguments).arguments
            request = request_of(asked)
            if request is None or self._server.refuses(request):
                pid = None
            else:
                pid = self._fork(request, files_of(asked))
            if pid is None:
                start(process, *arguments)
                return
            process.pid = pid
            process._child_created = True
            close_pipes(process, asked)

        subprocess.Popen._execute_child = execute_child  # type: ignore[attr-defined]

    def _fork(self, request: dict[str, Any], files: list[int]) -> int | None:
        """Return the process of a new fork; None, if a signal to the group ended the nursery."""
        with self._lock:
            try:
                send(self._channel, request, files)
                pid: int | None = receive(self._channel)[0]
            except ConnectionError:
                pid = None
        return pid


def _sibling() -> int:
    """Fork a child of this process's parent; return its pid, and 0 in it."""
    # Unlike `os.fork`, and without threads, it can leave out what the C library does at a fork.
    python = ctypes.pythonapi
    system = ctypes.PyDLL(None)  # keeps the lock of the interpreter
    python.PyOS_BeforeFork()
    pid: int = system.syscall(_CLONE[machine()], _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        python.PyOS_AfterFork_Child()
    else:
        python.PyOS_AfterFork_Parent()
    return pid


def starts_python(command: Sequence[str]) -> bool:
    """Whether a command starts others that a fork can stand for."""
    program, words = Path(command[1]).name, [*command[2:]]
    if program == "-m":
        program = words.pop(0)
    if program == "snakeval":
        return words[:1] in (["run"], ["resume"])
    if program == "snakemake":
        return "--snakefile" in words and not {"-n", "--dry-run", "--unlock"} & {*words}
    return program in ("snakeval.jobs.evaluate", "snakeval.jobs.deploy")  # gateway, supervisor


def run(command: Sequence[str]) -> None:
    """Do what Python does with a command line."""
    sys.orig_argv = [*command]
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = sys.modules["builtins"]
    if first := os.environ.get(FIRST_VARIABLE):
        exec(compile(Path(first).read_bytes(), first, "exec"), {})
    if command[1] == "-m":
        sys.argv = ["-m", *command[3:]]
        sys.path[0] = os.getcwd()  # noqa: PTH109
        runpy._run_module_as_main(command[2])  # type: ignore[attr-defined]
    elif command[1] == "-c":
        sys.argv = ["-c", *command[3:]]
        sys.path[0] = ""
        exec(command[2], main.__dict__)
    else:
        sys.argv = [*command[1:]]
        sys.path[0] = str(Path(command[1]).resolve().parent)
        main.__dict__["__file__"] = command[1]
        exec(compile(Path(command[1]).read_bytes(), command[1], "exec"), main.__dict__)


def _main() -> None:
    server = Server([socket.socket(fileno=int(file)) for file in sys.argv[1].split(",")])
    request = server.serve()
    while request is not None:
        command = request["command"]
        if machine() in _CLONE and starts_python(command):
            nursery = Nursery(server)
            if nursery.request is not None:
                request = nursery.request
                continue
            nursery.install()
        try:
            run(command)
        except SystemExit as ended:
            end(ended.code)
        end(None)


def end(code: Any) -> NoReturn:
    """End as the interpreter does, but leave the memory to the kernel.

    The interpreter would take apart all that the server imported, and each page that it touches
    would first be copied: three quarters of what a short command costs.
    """
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        os._exit(120)  # as the interpreter, e.g. when its reader is gone
    os._exit((code or 0) & 0xFF)


if __name__ == "__main__":
    _main()
