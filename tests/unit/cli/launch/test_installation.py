"""The Snakefile and the profiles of snakeval, and the profile that a name finds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from snakeval.cli.launch import installation
from snakeval.cli.launch.installation import find_profile
from snakeval.errors import ConfigError


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own profiles; the working directory is an empty one."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "shared"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "config" / "snakemake"


def profile(place: Path, name: str, file: str = "config.yaml") -> str:
    (place / name).mkdir(parents=True)
    (place / name / file).write_text("cores: 1\n")
    return name


def test_a_clone_has_them_in_its_root(user: Path) -> None:
    assert installation.snakefile().name == "Snakefile"
    assert installation.snakefile().is_file()
    assert installation.is_profile(installation.profiles() / "local")


def test_a_wheel_has_them_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(installation.profiles(), tmp_path / "_workflow" / "profiles")
    monkeypatch.setattr(installation, "_PACKAGE", tmp_path)
    assert installation.profiles() == tmp_path / "_workflow" / "profiles"
    assert installation.snakefile() == tmp_path / "_workflow" / "Snakefile"


def test_a_name_finds_the_profile_of_snakeval_by_default(user: Path) -> None:
    assert find_profile("local") == str(installation.profiles() / "local")


@pytest.mark.parametrize("file", ["config.yaml", "profile.yaml", "config.v9+.yaml"])
def test_the_users_profile_of_that_name_wins(user: Path, file: str) -> None:
    assert find_profile(profile(user, "local", file)) == "local"


def test_a_profile_in_the_working_directory_wins(user: Path) -> None:
    profile(user, "mine")
    assert find_profile(profile(Path(), "mine")) == "mine"


def test_a_directory_without_a_profile_is_skipped(user: Path) -> None:
    Path("local").mkdir()
    assert find_profile("local") == str(installation.profiles() / "local")


def test_a_path_finds_its_profile(user: Path, tmp_path: Path) -> None:
    profile(tmp_path / "x", "y")
    assert find_profile("../x/y") == "../x/y"
    assert find_profile(str(tmp_path / "x" / "y")) == str(tmp_path / "x" / "y")
    assert find_profile("x/y", tmp_path) == "x/y"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("locl", "--profile locl: no such profile; did you mean 'local'?"),
        ("zzz", "--profile zzz: no such profile; there are lepton, local"),
        ("default", "--profile default: no such profile"),
        ("nowhere/x", "--profile nowhere/x: no such profile"),
    ],
)
def test_an_unknown_name_is_an_error(user: Path, name: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_profile(name)
    assert str(caught.value).startswith(sentence)
