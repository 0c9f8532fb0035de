"""Tests the requests to a scheduler: their keys, and the resources that they become."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from snakemake_executor_plugin_slurm.validation import validate_slurm_extra

from snakeval.config.compose import text
from snakeval.config.execution import Execution, Slurm
from snakeval.config.load import load
from snakeval.errors import ConfigError
from snakeval.matrix.slurm_requests import layered, resources
from support.configs import changed, write
from support.workspace import REPOSITORY


def slurm(**keys: Any) -> Slurm:
    return Slurm.model_validate(keys)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("04:00:00", 240), ("4:00:00", 240), ("00:00:30", 1), ("90", 90), ("90:30", 91),
        ("1-0", 1440), ("2-12:30", 3630), ("1-00:00:01", 1441),
        ("1d", 1440), ("4h", 240), ("1d12h", 2160), ("2h 30m", 150), ("90min", 90), (240, 240),
    ],
)  # fmt: skip
def test_a_walltime_accepts_the_forms_of_sbatch_and_of_people(
    text: str | int, minutes: int
) -> None:
    assert slurm(walltime=text).walltime == minutes


@pytest.mark.parametrize(
    "value",
    [
        *(14400, 1.5, "0", "00:00:00", "1:99:00", "", "h", "4 hours", "0h", -4, 0, "1h1d"),
        *("999999999d", "3650d1m", "9" * 5000 + "d"),
    ],
)
def test_any_other_walltime_is_an_error_with_an_example(value: object) -> None:
    with pytest.raises(ValidationError, match='in quotes: "04:00:00"'):
        slurm(walltime=value)


@pytest.mark.parametrize(
    ("written", "minutes"),
    [
        ("4:00:00", 240),
        ("90:00", 90),
        ("240", 240),
        ("1d", 1440),
        ("1-0", 1440),
        ("'04:00:00'", 240),
    ],
)
def test_a_walltime_needs_no_quotes_in_a_file(tmp_path: Path, written: str, minutes: int) -> None:
    content = changed("execution", to={"slurm": {}})
    text = yaml.safe_dump(content).replace("slurm: {}", f"slurm: {{walltime: {written}}}")
    assert load([write(tmp_path, text)])[0].execution.slurm.walltime == minutes


def test_a_saved_configuration_loads_as_an_equal_one(tmp_path: Path) -> None:
    asked = {"walltime": "1-0", "max_total_walltime": "90", "exclusive": True, "gres": "gpu:8"}
    read = load([write(tmp_path, changed("execution", to={"slurm": asked}))])[0]
    assert "walltime: '24:00:00'" in text(read)
    assert load([write(tmp_path, text(read))])[0] == read


def test_each_key_becomes_a_resource_of_the_executor() -> None:
    asked = slurm(
        account="a", partition="gpu", qos="q", gres="gpu:8", constraint="c", exclusive=True,
        cpus_per_task=4, comment="mine", extra_flags=["--nodelist=n1", "--reservation=r"],
        max_total_walltime="1-0",
    )  # fmt: skip
    assert resources(asked, gpus=True) == {
        "slurm_account": "a", "slurm_partition": "gpu", "qos": "q", "gres": "gpu:8",
        "constraint": "c", "cpus_per_task": 4, "slurm_comment": "mine",
        "slurm_extra": "--exclusive --nodelist=n1 --reservation=r", "max_total_runtime": 1440,
    }  # fmt: skip
    assert resources(slurm(), gpus=True) == {}


def test_a_job_without_gpus_goes_to_the_cpu_partition() -> None:
    asked = slurm(partition="gpu", cpu_partition="cpu", gres="gpu:8")
    assert resources(asked, gpus=False) == {"slurm_partition": "cpu"}
    assert resources(slurm(partition="all"), gpus=False) == {"slurm_partition": "all"}


def test_the_last_layer_that_sets_a_key_wins() -> None:
    run, model = (
        Execution(slurm=slurm(account="a", qos="low")),
        Execution(slurm=slurm(qos=None, walltime="60")),
    )
    asked = layered(run, model, None)
    assert (asked.account, asked.qos, asked.walltime) == ("a", None, 60)


@pytest.mark.parametrize(
    "flags", ["--time=5", "-p gpu", "--comment x", "--gres=gpu:1", "--exclusive"]
)
def test_a_flag_with_its_own_key_is_an_error_that_names_it(flags: str) -> None:
    with pytest.raises(ValidationError, match=flags.split("=")[0].split()[0]):
        slurm(extra_flags=flags)


def test_an_allocation_longer_than_its_job_is_an_error() -> None:
    with pytest.raises(ValidationError, match="max_walltime_per_allocation above walltime"):
        slurm(walltime="60", max_walltime_per_allocation="90")


def test_a_benchmark_cannot_set_the_packing_of_a_models_evaluations(tmp_path: Path) -> None:
    place = ("benchmarks", "b", "execution", "slurm", "allocations_per_model")
    with pytest.raises(ConfigError, match=r"benchmarks\.b\.execution\.slurm\.allocations_per_mod"):
        load([write(tmp_path, changed(*place, to=2))])
    load([write(tmp_path, changed(*place[:-1], "cpu_partition", to="long"))])


def test_the_error_of_an_unknown_key_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'acount'.*account"):
        load([write(tmp_path, changed("execution", "slurm", "acount", to="a"))])


DOCUMENTED = re.findall(
    r"`extra_flags: ([^`]+)`", (REPOSITORY / "docs" / "slurm.md").read_text(encoding="utf-8")
)


def test_mail_excluded_nodes_and_a_reservation_are_documented() -> None:
    assert {flags.split("=")[0] for flags in DOCUMENTED} == {
        "--mail-type", "--exclude", "--reservation",
    }  # fmt: skip


@pytest.mark.parametrize("flags", DOCUMENTED)
def test_each_documented_line_of_flags_is_accepted_here_and_by_the_executor(flags: str) -> None:
    asked = resources(slurm(extra_flags=flags), gpus=False)
    assert asked == {"slurm_extra": flags}
    validate_slurm_extra(SimpleNamespace(resources=SimpleNamespace(**asked, get=asked.get)))
