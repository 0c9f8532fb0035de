"""What `snakeval run` understands of names after `--config`, and what its errors name."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from snakeval import cli
from snakeval.cli.launch.snakemake_options import parsed
from snakeval.config.load import Selection, load
from snakeval.dag import handover
from snakeval.errors import ConfigError
from support.configs import COMMAND, MODEL, VALID, write

pytestmark = pytest.mark.usefixtures("place")
NAMES = ["3.1", "70", "1e3", "1_2", "2024", "2e237893", "07913067", "true", "0x1F"]
OTHER = "5.0"
C = ("--config", "c.yaml")


def chosen(place: Path, *pairs: str) -> Selection:
    named: dict[str, Any] = dict.fromkeys([*NAMES, OTHER], MODEL)
    file = write(place, {"models": named, "benchmarks": dict.fromkeys(NAMES, COMMAND)})
    return load([file], parsed(pairs))[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_text_whatever_it_looks_like(place: Path, name: str) -> None:
    assert chosen(place, f"models={name}").models == (name,)
    assert chosen(place, f"benchmarks={name}").benchmarks == (name,)
    assert chosen(place, f"models=['{name}']").models == (name,)
    assert chosen(place, f"models={name},{OTHER}").models == (name, OTHER)
    assert chosen(place, f"run={name}").run == name


def test_values_in_a_mapping_have_their_types(place: Path) -> None:
    pairs = ["params={limit_samples: 3, extra: {lr: 0.1, n: 2, t: '1e-1', u: no-number}}"]
    config, _, _ = load([place / "c.yaml"], parsed(pairs))
    assert config.params.limit_samples == 3
    assert config.params.extra == {"lr": 0.1, "n": 2, "t": "1e-1", "u": "no-number"}


def test_a_text_that_may_be_a_number_is_reported(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"1e-1 is a text in YAML 1\.1; write 0\.1, or"):
        parsed(["params={extra: {lr: 1e-1}}"])


def test_an_error_after_composing_names_the_users_file(
    place: Path, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    write(place, VALID | {"benchmarks": {"b": {"task": "gsm9k"}}})
    assert cli.main(["run", *C]) == 2
    error = capsys.readouterr().err
    assert error.startswith("snakeval: c.yaml: benchmarks.b: no task 'gsm9k'")
    assert "composed" not in error
    assert not ran


def test_a_missing_library_of_an_executor_is_one_sentence_before_snakemake(
    place: Path,
    ran: list[list[str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: (name != "leptonai" and real(name, *more)) or None,
    )
    assert cli.main(["run", *C, "--profile", "lepton"]) == 2
    error = capsys.readouterr().err
    assert "its library is not installed; pip install 'snakeval[lepton]'" in error
    assert len(error.splitlines()) == 1
    assert not ran


def test_a_missing_executor_plugin_is_one_sentence_before_snakemake(
    place: Path, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "mine").mkdir()
    (place / "mine" / "config.yaml").write_text("executor: no-such\n")
    for words in (("--profile", "mine"), ("--", "--executor", "no-such")):
        assert cli.main(["run", *C, *words]) == 2
        error = capsys.readouterr().err
        assert (
            "no executor plugin 'no-such'; pip install snakemake-executor-plugin-no-such" in error
        )
        assert len(error.splitlines()) == 1
    assert not ran


@pytest.mark.parametrize("tags", [{"team": "x" * 60}, ["x" * 65], {"x" * 65: ""}])
def test_a_tag_that_wandb_rejects_is_an_error_before_the_run(
    place: Path, ran: list[list[str]], capsys: pytest.CaptureFixture[str], tags: Any
) -> None:
    pytest.importorskip("wandb")
    write(place, VALID | {"export": {"wandb": {"tags": tags}}})
    assert cli.main(["run", *C]) == 2
    assert "export.wandb.tags: has a tag that is empty or longer" in capsys.readouterr().err
    assert not ran
    write(place, VALID | {"export": {"wandb": {"tags": {"team": "x" * 59}}}})
    assert cli.main(["run", *C]) == 0


def test_all_that_a_run_keeps_in_the_home_is_private(place: Path, ran: list[list[str]]) -> None:
    home = place / "home"
    home.mkdir(mode=0o755)
    assert cli.main(["run", *C]) == 0
    handover.detach(["true"], home / "logs" / "x.log").wait()
    found = [home, *home.rglob("*")]
    assert len(found) > 3
    assert [path for path in found if path.stat().st_mode & 0o077] == []
    (composed,) = (home / "composed").iterdir()
    composed.chmod(0o644)  # as an earlier version left it
    assert cli.main(["run", *C]) == 0
    assert composed.stat().st_mode & 0o777 == 0o600
