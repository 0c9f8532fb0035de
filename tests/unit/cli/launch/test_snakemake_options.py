"""Snakemake's options in a command line, as Snakemake's own parser reads them."""

from __future__ import annotations

import shlex

import pytest

from snakeval.cli.launch.snakemake_options import Option, config, split, values, without
from snakeval.errors import ConfigError


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("", []),
        ("-n", ["dryrun"]),
        ("--dry-run --dryrun", ["dryrun", "dryrun"]),
        ("-j4 -c 2 --cores=3", ["jobs", "cores", "cores"]),
        ("-np all", ["dryrun", "printshellcmds", "targets"]),
        ("--config a=1 b=2 -n", ["config", "dryrun"]),
        ("results/x/evaluation.json --keep-going", ["targets", "keep_going"]),
        ("--set-resources evaluate:mem_mb=5 deploy:gpu=1 -k", ["set_resources", "keep_going"]),
        ("--rerun-inc --nonsense", ["rerun_incomplete", "nonsense"]),
        ("-q all -- -n", ["quiet", "targets"]),
    ],
)
def test_a_command_line_is_split_into_options_with_values(line: str, names: list[str]) -> None:
    options = split(shlex.split(line))
    assert [option.name for option in options] == names
    written = [word for word in shlex.split(line) if word != "--"]
    flat = without(options, set())
    assert flat == written or flat == ["-n", "-p", "all"]


def test_the_last_values_of_an_option_win() -> None:
    options = split(["--config", "a=1", "b=2", "--profile", "x", "--profile=y"])
    assert values(options, "config") == ["a=1", "b=2"]
    assert values(options, "profile") == ["y"]
    assert values(options, "jobs") == []


def test_options_are_removed_by_name() -> None:
    options = split(["--configfile", "a.yaml", "b.yaml", "--cores", "2", "-n", "target"])
    assert without(options, {"configfile", "dryrun", "targets"}) == ["--cores", "2"]


def test_config_has_names_as_texts_and_values_in_mappings_with_their_types() -> None:
    options = split(["--config", "run=new", "models=a,b", "params={limit_samples: 3}"])
    assert config(options) == {
        "run": "new",
        "models": "a,b",
        "params": {"limit_samples": 3},
    }


def test_a_config_without_pairs_is_an_error() -> None:
    with pytest.raises(ConfigError, match="--config nothing: "):
        config([Option("config", ("--config", "nothing"), ("nothing",))])
