"""`snakeval profiles install`: links, and nothing of the user's is touched."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from snakeval.cli.launch.installation import profiles
from support import forks
from support.configs import VALID
from support.limits import HUNG
from support.made import snakeval
from support.workspace import REPOSITORY, Workspace

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's directory of profiles, which is not there yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "snakemake"


def test_each_shipped_profile_gets_a_link(own: Path, capsys: Capture) -> None:
    said = snakeval(capsys, "profiles", "install")
    assert said.exit_code == 0
    assert (own / "local").readlink() == profiles() / "local"
    assert not (own / "default").exists()
    assert f"{own / 'local'}  linked to " in said.out


def test_again_changes_nothing(own: Path, capsys: Capture) -> None:
    snakeval(capsys, "profiles", "install")
    before = (own / "local").lstat().st_ino
    said = snakeval(capsys, "profiles", "install")
    assert (said.exit_code, "is there already" in said.out) == (0, True)
    assert (own / "local").lstat().st_ino == before


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_profile_of_the_users_own_is_never_touched(
    own: Path, capsys: Capture, force: list[str]
) -> None:
    (own / "local").mkdir(parents=True)
    (own / "local" / "config.yaml").write_text("cores: 1\n")
    said = snakeval(capsys, "profiles", "install", *force)
    assert said.exit_code == 0
    assert "local  left unchanged: it is your own" in said.out
    assert (own / "local" / "config.yaml").read_text() == "cores: 1\n"
    assert (own / "snakeval-local").readlink() == profiles() / "local"


def test_a_link_that_leads_elsewhere_is_replaced_only_by_force(
    own: Path, tmp_path: Path, capsys: Capture
) -> None:
    own.mkdir(parents=True)
    (own / "local").symlink_to(tmp_path / "an-older-clone")
    said = snakeval(capsys, "profiles", "install")
    assert said.exit_code == 1
    assert "--force replaces it" in said.out
    assert snakeval(capsys, "profiles", "install", "--force").exit_code == 0
    assert (own / "local").resolve() == (profiles() / "local").resolve()


def test_a_link_to_another_installation_is_replaced(
    own: Path, tmp_path: Path, capsys: Capture
) -> None:
    own.mkdir(parents=True)
    other = tmp_path / "gone/lib/python3.12/site-packages/snakeval/_workflow/profiles/local"
    (own / "local").symlink_to(other)
    said = snakeval(capsys, "profiles", "install")
    assert said.exit_code == 0
    assert f"{own / 'local'}  linked to {profiles() / 'local'}" in said.out
    assert (own / "local").readlink() == profiles() / "local"


def test_then_snakemake_finds_it_by_its_name(own: Path, tmp_path: Path, capsys: Capture) -> None:
    snakeval(capsys, "profiles", "install")
    work = Workspace.below(tmp_path, **VALID)
    work.command()  # writes the configuration
    done = forks.finished(
        [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile"),
         "--profile", "local", "--configfile", "config.yaml", "-n"],
        cwd=work.directory, env=work.environment, timeout=HUNG,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "evaluate  m/b" in done.stderr


def test_the_documented_commands_before_a_slurm_job_are_an_option_of_snakemake(
    tmp_path: Path,
) -> None:
    from snakemake import cli

    text = (REPOSITORY / "profiles" / "slurm" / "config.yaml").read_text()
    start = text.index("# slurm-resume-before: |")
    lines = text[start : text.index("# Names of jobs")].splitlines()
    (tmp_path / "config.yaml").write_text("\n".join(line.removeprefix("# ") for line in lines))
    parser = cli.get_argument_parser(profiles=[str(tmp_path)])
    given, _ = parser.parse_known_args(["--profile", str(tmp_path)])
    commands = given.slurm_resume_before.splitlines()
    assert [command.split()[0] for command in commands] == ["source", "export", "export"]
    assert commands[2] == 'export TMPDIR=/scratch/$SLURM_JOB_ID && mkdir -p "$TMPDIR"'
