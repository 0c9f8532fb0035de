"""The wheel in environments of its own: both executors are in it, their libraries in its extras.

See :mod:`support.installed` for what these environments have. No Slurm and no Lepton is asked.
"""

from __future__ import annotations

import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from support.installed import REPOSITORY, Environment, build, install, with_extras

EXECUTORS = {"lepton": "leptonai", "slurm-resume": "snakemake_executor_plugin_slurm"}
#: The files of a clone that the README's commands read; the package is the wheel's.
CLONE = ("Snakefile", "rules", "scripts", "profiles", "config")


@dataclass(frozen=True)
class Installed:
    """An environment, and a clone of the repository without its packages."""

    environment: Environment
    clone: Path

    def snakemake(self, *options: str, cwd: Path | None = None) -> CompletedProcess[str]:
        place = cwd or self.clone
        home = {"HOME": str(place), "XDG_CACHE_HOME": str(place / "cache")}
        words = ("-m", "snakemake", "--nocolor", *options)
        return self.environment.run(*words, cwd=place, env=home)

    def can_import(self, *names: str) -> set[str]:
        program = (
            "import importlib.util as u, sys; "
            "print(*(name for name in sys.argv[1:] if u.find_spec(name)))"
        )
        done = self.environment.run("-c", program, *names, cwd=self.clone)
        assert done.returncode == 0, done.stdout
        return set(done.stdout.split())


def _installed(environment: Environment, place: Path) -> Installed:
    clone = place / "clone"
    clone.mkdir()
    for name in CLONE:
        source = REPOSITORY / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, clone / name)
    # The demo mounts it in the servers' containers. A dry run starts none.
    (clone / "workflow").mkdir()
    return Installed(environment, clone)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """What pip installs without extras; it takes a second."""
    place = tmp_path_factory.mktemp("installed")
    return install(build(place), place / "venv")


@pytest.fixture(scope="module")
def bare(installed: Environment, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return _installed(installed, tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="module")
def whole(installed: Environment, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    place = tmp_path_factory.mktemp("whole")
    return _installed(with_extras(installed, place / "venv", ("slurm", "lepton")), place)


def test_without_extras_snakemake_lists_both_executors(bare: Installed) -> None:
    libraries = {*EXECUTORS.values(), "boto3"}
    assert bare.can_import("snakeval", *libraries) == {"snakeval"}
    done = bare.snakemake("--help")
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout
    for name in EXECUTORS:
        assert f"\n{name} executor plugin settings:\n" in done.stdout


def test_without_extras_the_demo_shows_what_would_run(bare: Installed) -> None:
    _shows_the_demo(bare, "local")


@pytest.mark.parametrize("profile", ["slurm", "lepton"])
def test_with_the_extras_the_executors_profiles_show_what_would_run(
    whole: Installed, profile: str
) -> None:
    assert whole.can_import(*EXECUTORS.values(), "boto3") == {*EXECUTORS.values(), "boto3"}
    _shows_the_demo(whole, profile)


def _shows_the_demo(installed: Installed, profile: str) -> None:
    done = installed.snakemake("--profile", f"profiles/{profile}", "-n")
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout
    for model in ("careful", "sloppy"):
        for benchmark in ("arithmetic", "sorting", "letters"):
            assert f"\nevaluate  {model}/{benchmark}\n" in done.stdout, done.stdout


@pytest.mark.parametrize(
    ("profile", "sentence"),
    [
        ("lepton", "The executor lepton requires leptonai, which is not installed"),
        (
            "slurm",
            "The executor slurm-resume requires snakemake-executor-plugin-slurm 2.8, which is not "
            "installed",
        ),
    ],
    ids=["lepton", "slurm"],
)
def test_without_its_extra_an_executor_says_what_to_install_and_nothing_else(
    bare: Installed, profile: str, sentence: str
) -> None:
    done = bare.snakemake("--profile", f"profiles/{profile}")
    *before, said = done.stdout.splitlines()
    assert (done.returncode, said) == (1, f"Error: {sentence}: pip install 'snakeval[{profile}]'")
    # The demo's image has no digest where it was built on this machine or cannot be looked up.
    usual = ("Using profiles ", "Run ", "Pinned by name only: snakeval/lm-eval:")
    assert all(line.startswith(usual) for line in before), done.stdout
    assert len(set(before)) == len(before), done.stdout


@pytest.mark.parametrize(
    ("extra", "plugin", "its_extras"), [("lepton", "lepton", ["s3"]), ("slurm", "slurm-resume", [])]
)
def test_an_extra_has_what_the_plugin_requires_alone_and_not_the_plugin(
    extra: str, plugin: str, its_extras: list[str]
) -> None:
    whole = _project(REPOSITORY)
    alone = _project(REPOSITORY / f"workflow/snakemake-executor-plugin-{plugin}")
    required = {
        *alone["dependencies"],
        *(each for name in its_extras for each in alone["optional-dependencies"][name]),
    }
    assert not [each for each in required if each.startswith("snakeval")]
    brought = {each for each in required if not each.startswith(("snakemake>", "snakemake-int"))}
    assert set(whole["optional-dependencies"][extra]) == brought
    assert brought <= set(whole["optional-dependencies"]["dev"])


def _project(directory: Path) -> dict[str, Any]:
    project = tomllib.loads((directory / "pyproject.toml").read_text())["project"]
    assert isinstance(project, dict)
    return project
