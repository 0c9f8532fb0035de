"""Tests the environments of harnesses without a container: whole, shared and never mixed up.

Long because the tests of one module are in one file, and this module has many cases.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from types import ModuleType

import pytest

from snakeval.errors import EvaluationError
from snakeval.runtimes.builds import builds
from snakeval.runtimes.marked import marked
from snakeval.runtimes.process import connect
from snakeval.runtimes.spec import ContainerSpec
from support.bare import run, spec
from support.limits import HUNG
from support.links import refuse_symlinks
from support.machine import eventually


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a requirement that pip installs without an index."""
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    wheel = tmp_path / "tool-1.0-py3-none-any.whl"
    make_wheel(wheel)
    return f"tool @ {wheel.as_uri()}"


def make_wheel(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tool.py", "print('a tool')\n")
        info = "tool-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tool\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def copies(empty: Path, patch: pytest.MonkeyPatch) -> None:
    """Let `python -m venv` copy an environment, for it takes two seconds to install pip."""
    python = empty.with_name(f"{empty.name}-python")
    python.write_text(
        f'#!/bin/sh\n[ "$1 $2 $3" = "-I -m venv" ] && exec cp -aT {empty} "$4"\n'
        f'exec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    patch.setattr(sys, "executable", str(python))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[ContainerSpec, list[str]]:
    """A command whose environment `venv` and pip made, for two threads, and what they said."""
    directory = tmp_path_factory.mktemp("real")
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SNAKEVAL_HOME", str(directory / "home"))
        patch.setenv("PIP_NO_INDEX", "1")
        make_wheel(directory / "tool-1.0-py3-none-any.whl")
        what = prints_its_place(directory)
        threads = [
            threading.Thread(target=connect().prepare, args=(what, said.append)) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return what, said


def test_two_threads_build_an_environment_once(
    tmp_path: Path, real: tuple[ContainerSpec, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    what, said = real
    monkeypatch.setenv("SNAKEVAL_HOME", f"{what.workdir}/home")
    assert sum(text.startswith("building the environment") for text in said) == 1
    assert connect().has(what)
    tool, prefix = run(what, tmp_path).splitlines()
    assert tool == "a tool"
    assert prefix.startswith(f"{what.workdir}/home/envs/")


@pytest.fixture
def with_pip(
    real: tuple[ContainerSpec, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let `venv` copy what it made, without what pip installed there."""
    (made,) = Path(f"{real[0].workdir}/home").glob("envs/*/current")
    empty = tmp_path / "empty"
    subprocess.run(["cp", "-a", f"{made.resolve()}/", empty], check=True)
    for left in (empty / "contents.json", *empty.glob("lib/*/site-packages/tool*")):
        subprocess.run(["rm", "-r", left], check=True)
    copies(empty, monkeypatch)


#: Installs wheels, as pip does, in a twentieth of the time.
PIP = """
import sys, sysconfig, zipfile
for word in sys.argv[1:]:
    if "file://" in word:
        wheel = zipfile.ZipFile(word.partition("file://")[2])
        wheel.extractall(sysconfig.get_path("purelib"))
"""


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an environment, which cannot move, and a copy of it.

    Its pip and its `venv` are quick ones, for the tests of what happens afterwards.
    """
    directory = tmp_path_factory.mktemp("pristine")
    empty = directory / "empty"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", empty], check=True)
    (site,) = empty.glob("lib/*/site-packages")
    (site / "pip").mkdir()
    (site / "pip/__main__.py").write_text(PIP)
    (empty / "bin/pip").touch()
    (empty / "lib64").unlink(missing_ok=True)  # the product makes it, as a link or a directory
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SNAKEVAL_HOME", str(directory / "home"))
        copies(empty, patch)
        make_wheel(directory / "tool-1.0-py3-none-any.whl")
        connect().prepare(prints_its_place(directory), lambda text: None)
    subprocess.run(["cp", "-a", directory / "home", directory / "copy"], check=True)
    return directory


def prints_its_place(directory: Path) -> ContainerSpec:
    """A command that prints from which Python it runs, after `tool`."""
    wheel = (directory / "tool-1.0-py3-none-any.whl").as_uri()
    text = "import sys, tool; print(sys.prefix)"
    return spec(directory, "python", "-c", text, packages=(f"tool @ {wheel}",))


@pytest.fixture
def built(pristine: Path, monkeypatch: pytest.MonkeyPatch) -> ContainerSpec:
    """A command whose environment is built and whole."""
    monkeypatch.setenv("SNAKEVAL_HOME", str(pristine / "home"))
    subprocess.run(["rm", "-rf", pristine / "home"], check=True)
    subprocess.run(["cp", "-a", pristine / "copy", pristine / "home"], check=True)
    copies(pristine / "empty", monkeypatch)
    return prints_its_place(pristine)


def interpreter(tmp_path: Path) -> Path:
    """The interpreter of the environment that is built, as its commands find it."""
    (found,) = (tmp_path / "home").glob("envs/**/bin/python")
    return found


def remove_python(tmp_path: Path) -> None:
    python = interpreter(tmp_path)
    for path in python.parent.glob("python*"):
        path.unlink()


def other_python(tmp_path: Path) -> None:
    """As after an upgrade of the system: the same path, another interpreter."""
    python = interpreter(tmp_path)
    python.unlink()
    python.write_text('#!/bin/sh\necho "2.7.18"; echo elsewhere\n')
    python.chmod(0o755)


def broken_python(tmp_path: Path) -> None:
    python = interpreter(tmp_path)
    python.unlink()
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)


def site(tmp_path: Path) -> Path:
    (found,) = interpreter(tmp_path).parents[1].glob("lib/*/site-packages")
    return found


def remove_package(tmp_path: Path) -> None:
    (site(tmp_path) / "tool.py").unlink()


def change_package(tmp_path: Path) -> None:
    (site(tmp_path) / "tool.py").write_text("print('another tool')\n")


def replace_package(tmp_path: Path) -> None:
    """As `pip install` by hand does."""
    info = site(tmp_path) / "tool-1.0.dist-info"
    info.rename(info.with_name("tool-2.0.dist-info"))


def interrupt(tmp_path: Path) -> None:
    """As a build that was killed, in an earlier release or in this one."""
    folder = interpreter(tmp_path).parents[1]
    for name in ("ready", "contents.json"):
        (folder / name).unlink(missing_ok=True)


@pytest.mark.parametrize(
    "harm",
    [
        remove_python,
        other_python,
        broken_python,
        remove_package,
        change_package,
        replace_package,
        interrupt,
    ],
)
def test_a_broken_environment_is_not_used(
    pristine: Path, built: ContainerSpec, harm: Callable[[Path], None]
) -> None:
    assert connect().has(built)
    harm(pristine)
    assert not connect().has(built)


def test_a_broken_environment_is_rebuilt(
    tmp_path: Path, pristine: Path, built: ContainerSpec
) -> None:
    remove_python(pristine)
    said: list[str] = []
    connect().prepare(built, said.append)
    tool, prefix = run(built, tmp_path).splitlines()
    assert tool == "a tool"
    assert prefix.startswith(f"{pristine}/home/envs/")
    assert sum(text.startswith("building the environment") for text in said) == 1
    interpreter(pristine)  # the broken one is gone, and exactly one is left


def test_an_environment_is_built_once_where_no_symbolic_links_are(
    tmp_path: Path, pristine: Path, built: ContainerSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(pristine / "home")
    refuse_symlinks(monkeypatch)
    said: list[str] = []
    connect().prepare(built, said.append)
    connect().prepare(built, said.append)
    assert run(built, tmp_path).splitlines()[0] == "a tool"
    assert sum(text.startswith("building the environment") for text in said) == 1
    assert [build.is_current for build in builds()] == [True]


def test_a_whole_environment_is_not_rebuilt(
    tmp_path: Path, pristine: Path, built: ContainerSpec
) -> None:
    python = interpreter(pristine)
    run(built, tmp_path)  # writes .pyc files
    (site(pristine) / "tool_cache").mkdir()
    said: list[str] = []
    connect().prepare(built, said.append)
    assert (said, interpreter(pristine)) == ([], python)


def test_a_command_does_not_run_without_its_environment(
    tmp_path: Path, pristine: Path, built: ContainerSpec
) -> None:
    remove_python(pristine)
    with (tmp_path / "log").open("wb") as log, pytest.raises(EvaluationError, match="vanished"):
        connect().run(built, log, Event())


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (platform, "machine", lambda: "riscv64"),
        (platform, "python_version", lambda: "3.99.1"),
        (os, "confstr", lambda name: "glibc 1.0"),
        (sys, "_base_executable", "/opt/another/python"),
    ],
)
def test_another_machine_or_python_has_another_environment(
    built: ContainerSpec,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    name: str,
    value: object,
) -> None:
    assert connect().has(built)
    monkeypatch.setattr(module, name, value, raising=False)
    assert not connect().has(built)


@pytest.mark.usefixtures("with_pip")
def test_packages_of_the_caller_do_not_count_as_installed(
    tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    callers = tmp_path / "callers"
    zipfile.ZipFile(package.partition("file://")[2]).extractall(callers)  # as `pip --target` does
    monkeypatch.setenv("PYTHONPATH", str(callers))
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    what = spec(tmp_path, "python", "-c", "import tool", packages=("tool==1.0",))
    connect().prepare(what, lambda text: None)
    assert run(what, tmp_path) == "a tool\n"


def test_a_harness_keeps_an_environment_that_another_job_rebuilds(
    tmp_path: Path, pristine: Path, built: ContainerSpec
) -> None:
    go = tmp_path / "go"
    text = f"import sys, time, os\nwhile not os.path.exists({str(go)!r}): time.sleep(.05)\n"
    running = replace(built, argv=("python", "-c", f"{text}import tool"))
    outcomes: list[str] = []
    thread = threading.Thread(target=lambda: outcomes.append(run(running, tmp_path)))
    thread.start()
    eventually(lambda: marked([running.name]), "it does not run")
    (interpreter(pristine).parent / "pip").unlink()
    connect().prepare(built, lambda text: None)
    go.touch()
    thread.join(timeout=HUNG)
    assert outcomes == ["a tool\n"]


#: `python3 -m venv --clear PLACE`, by copying: `venv` takes two seconds to install pip.
MAKES_ENVIRONMENT = """\
#!/bin/sh
[ "$1 $2 $3" = "-m venv --clear" ] || exit 1
mkdir -p "$4" && cp -a {empty}/. "$4"
printf '#!/bin/sh\\nexec "%s/bin/python" -m pip "$@"\\n' "$4" > "$4/bin/pip"
"""


@pytest.mark.usefixtures("with_pip")
def test_the_shell_text_builds_a_missing_environment(
    tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = spec(tmp_path, "python", "-c", "import tool", packages=(package,))
    text = connect().shell(what)
    python = tmp_path / "path" / "python3"
    python.parent.mkdir()
    python.write_text(MAKES_ENVIRONMENT.format(empty=tmp_path / "empty"))
    python.chmod(0o755)
    monkeypatch.setenv("PATH", str(python.parent), prepend=os.pathsep)
    for _ in range(2):
        done = subprocess.run(["bash", "-ec", text], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, "a tool\n"), done.stderr


@pytest.mark.usefixtures("with_pip")
def test_an_unavailable_package_is_an_error_of_one_sentence(tmp_path: Path, package: str) -> None:
    what = spec(tmp_path, "true", packages=("no-such-package==1.0",))
    with pytest.raises(EvaluationError) as refused:
        connect().prepare(what, lambda text: None)
    assert "cannot build the harness's environment: ERROR: " in str(refused.value)
    assert "no-such-package==1.0" in str(refused.value)
    assert not connect().has(what)
