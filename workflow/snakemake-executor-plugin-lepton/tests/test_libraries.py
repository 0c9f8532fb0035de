"""Without its libraries: Snakemake still starts, and one sentence says what to install."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from snakemake_executor_plugin_lepton import libraries
from workflows import HUNG

#: As if the library were not installed: Python's own error for the same import.
HIDE = """
import sys
class Hidden:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == {name!r}:
            raise ModuleNotFoundError("No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden)
"""


def python(program: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    extra = {"PYTHONPATH": str(path)} if path else {}
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, timeout=HUNG, env={**os.environ, **extra},
    )  # fmt: skip


START = """
from snakemake_executor_plugin_lepton import ApiError, Executor
try:
    Executor(None, None)
except ApiError as error:
    print(error)
"""
CHOOSE = """
from snakemake_executor_plugin_lepton.settings import ExecutorSettings
from snakemake_executor_plugin_lepton.transport import TransportError, choose
try:
    choose(ExecutorSettings(s3_prefix="s3://bucket"), None)
except TransportError as error:
    print(error)
"""


def test_the_package_imports_no_library() -> None:
    done = python(
        "import snakemake_executor_plugin_lepton, sys\n"
        "print([name for name in ('leptonai', 'boto3') if name in sys.modules])"
    )
    assert done.stdout == "[]\n", done.stderr


def test_without_nvidias_library_a_start_says_what_to_install() -> None:
    done = python(HIDE.format(name="leptonai") + START)
    command = libraries.install_command(libraries.LEPTONAI)
    expected = f"The executor lepton requires leptonai, which is not installed: {command}\n"
    assert done.stdout == expected, done.stderr


def test_an_outdated_library_is_not_called_missing(tmp_path: Path) -> None:
    (tmp_path / "leptonai").mkdir()
    (tmp_path / "leptonai/__init__.py").touch()
    done = python(START, tmp_path)
    reason = "which cannot be imported (No module named 'leptonai.api')"
    assert done.stdout.startswith(f"The executor lepton requires leptonai, {reason}: pip"), done


def test_without_boto3_the_s3_transport_says_what_to_install() -> None:
    done = python(HIDE.format(name="boto3") + CHOOSE)
    command = libraries.install_command(libraries.BOTO3)
    expected = f"The transport s3 requires boto3, which is not installed: {command}\n"
    assert done.stdout == expected, done.stderr


def test_without_nvidias_library_the_check_says_what_to_install() -> None:
    done = python(
        HIDE.format(name="leptonai")
        + "from snakemake_executor_plugin_lepton.__main__ import main\nsys.exit(main([]))"
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("The executor lepton requires leptonai, which is not installed: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("installed", "command"),
    [(True, "pip install 'snakeval[lepton]'"), (False, f"pip install '{libraries.LEPTONAI}'")],
)
def test_the_command_matches_the_installed_distribution(
    installed: bool, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        assert name == "snakeval"
        if not installed:
            raise libraries.PackageNotFoundError(name)
        return "0.1.0"

    monkeypatch.setattr(libraries, "version", version)
    assert libraries.install_command(libraries.LEPTONAI) == command


def test_the_versions_match_the_distribution() -> None:
    file = Path(__file__).parents[1] / "pyproject.toml"
    project = tomllib.loads(file.read_text())["project"]
    assert libraries.LEPTONAI in project["dependencies"]
    assert project["optional-dependencies"]["s3"] == [libraries.BOTO3]
