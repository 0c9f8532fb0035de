"""Bad input as a person sees it: `snakemake` fails with one sentence and writes nothing."""

from __future__ import annotations

import os
import subprocess
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from snakeval.config.config import Config
from snakeval.config.load import Selection, load
from snakeval.dag.invocation import Invocation
from snakeval.dag.preflight import check
from snakeval.errors import ConfigError
from support.configs import MODEL, VALID, changed, write
from support.workspace import Workspace

BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, after in zip("abcdefghi", "bcdefghij", strict=True)
)

SERVER = {"kind": "generic", "command": "serve --port {{ port }}"}


def deployed(**spec: Any) -> dict[str, Any]:
    """`VALID` with a deployed model."""
    return changed("models", "m", to={"deployment": SERVER | spec})


def snakemake(directory: Path, *options: str) -> tuple[int, list[str]]:
    """Return the exit code and what snakeval said, without Snakemake's line about profiles."""
    done = Workspace(directory, directory / "home").snakemake(*options)
    lines = [line for line in done.output.splitlines() if not line.startswith("Using profiles ")]
    return done.exit_code, lines


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (changed("modles", to={}), "c.yaml: unknown key 'modles'; did you mean 'models'?"),
        (changed("params", "top_p", to="much"), "c.yaml: params.top_p: input should be a valid"),
        (
            changed("benchmarks", "b", to={"task": "ifeval"}),
            "c.yaml: benchmarks.b: several harnesses have a task 'ifeval'; write one of lm-eval.if",
        ),
        (
            changed("benchmarks", "b", to={"task": "lm-eval.ifevel"}),
            "c.yaml: benchmarks.b: no task 'lm-eval.ifevel' in the catalogue; did you mean ",
        ),
        (changed("models", "m", to={}), "c.yaml: models.m: has no endpoint; add endpoint: {url"),
        (
            changed("models", "m", "deployment", to=SERVER),
            "c.yaml: models.m: has both endpoint and deployment; keep one",
        ),
        (
            deployed(command="serve {{ prot }}"),
            "c.yaml: models.m.deployment: the deployment's `command` is not a valid template: 'pr",
        ),
        (
            deployed(checkpoint_path="/nowhere"),
            "c.yaml: models.m.deployment.checkpoint_path: no /nowhere; correct the path",
        ),
        (
            deployed(env=["NO_SUCH_TOKEN"]),
            "c.yaml: models.m.deployment.env: $NO_SUCH_TOKEN is not set; export it",
        ),
        (changed("models", "../x", to=MODEL), "c.yaml: models.../x: '../x' is not a valid name; u"),
        (
            changed("models", "mоdel", to=MODEL),
            "'m\\u043edel' is not a valid name; use ASCII letters, digits",
        ),
        (
            changed("benchmarks", "b", "command", to="echo {{ modelid }}"),
            "c.yaml: benchmarks.b: `command` is not a valid template: 'modelid' is undefined; cor",
        ),
        (changed("output_dir", to="a{b}"), "c.yaml: output_dir: cannot contain '{'; choose"),
        (changed("benchmarks", to=["x", "x"]), "c.yaml: benchmarks: x is listed twice"),
        (VALID | {"exclude": ["*/*"]}, "c.yaml: the matrix is empty: no model is left"),
        (
            changed("models", "m", "endpoint", "api_key_name", to="NO_SUCH_KEY"),
            "c.yaml: models.m.endpoint.api_key_name: $NO_SUCH_KEY is not set; export it",
        ),
        (
            changed("benchmarks", "b", "env", to=["NO_SUCH_TOKEN"]),
            "c.yaml: benchmarks.b.env: $NO_SUCH_TOKEN is not set; export it",
        ),
        (
            VALID | {"output_dir": "c.yaml/results"},
            "c.yaml is a file; name a directory",
        ),
        ("models:\n\tm: {}\n", "c.yaml, line 2, column 1: a tab is used for indentation; use spac"),
        (b"name: \xff\xfe\n", "c.yaml: byte 6 is not UTF-8; save the file as UTF-8"),
        (BOMB, "c.yaml: its values, with YAML aliases expanded, are more than 1,000,000"),
        ("just text\n", "c.yaml: must hold keys and values, not a str"),
    ],
)  # fmt: skip
def test_an_error_has_the_file_the_key_and_the_fix(
    tmp_path: Path, content: dict[str, Any] | str | bytes, sentence: str
) -> None:
    write(tmp_path, content)
    code, lines = snakemake(tmp_path, "--configfile", "c.yaml")
    assert code in (1, 2)
    (line,) = lines
    assert line.startswith("snakeval: ")
    assert sentence in line
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / "home").exists()


def test_an_absent_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    code, lines = snakemake(tmp_path, "--configfile", "nowhere.yaml")
    assert (code, lines) == (1, ["snakeval: nowhere.yaml: no such file; check the path"])


def test_an_unknown_choice_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    write(tmp_path, changed("models", "llama", to=MODEL))
    code, (line,) = snakemake(tmp_path, "--configfile", "c.yaml", "--config", "models=lama")
    assert code == 1
    assert line == (
        "snakeval: --config models: no 'lama' in the configuration; did you mean 'llama'?"
    )


def test_the_value_of_a_key_is_never_shown(tmp_path: Path) -> None:
    write(tmp_path, changed("models", "m", "endpoint", "api_key_name", to="sk-very-secret"))
    _, lines = snakemake(tmp_path, "--configfile", "c.yaml")
    assert lines
    assert "sk-very-secret" not in "".join(lines)


@pytest.mark.root
def test_a_full_disk_is_an_error_before_anything_runs(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=True)
    try:
        write(tmp_path, VALID | {"output_dir": "disk/results"})
        code, (line,) = snakemake(tmp_path, "--configfile", "c.yaml")
        assert code == 1
        assert line.startswith("snakeval: c.yaml: output_dir: no space left at ")
        assert line.endswith("free some")
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def error_for_nobody(config: Config, selection: Selection) -> str:
    Invocation(config, selection)  # nobody may not read what Python imports late
    os.setuid(65534)
    with pytest.raises(ConfigError) as error:
        check(Invocation(config, selection), {})
    return str(error.value)


@pytest.mark.root
@pytest.mark.parametrize("mode", [0o555, 0o000], ids=["not written", "not even listed"])
def test_missing_rights_to_the_output_directory_are_an_error(tmp_path: Path, mode: int) -> None:
    # As another user below a directory that anybody may enter: root may write everywhere.
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        (place / "closed").mkdir(mode=mode)
        config, selection, _ = load([write(place, VALID | {"output_dir": str(place / "closed")})])
        with ProcessPoolExecutor(1, get_context("fork")) as other:
            error = other.submit(error_for_nobody, config, selection).result()
    assert error.startswith("output_dir: ")
    assert "correct its permissions" in error


def test_a_read_only_output_directory_is_an_error_with_its_name(tmp_path: Path) -> None:
    # /proc takes no directories, not even from root.
    write(tmp_path, VALID | {"output_dir": "/proc/results"})
    code, (line,) = snakemake(tmp_path, "--configfile", "c.yaml")
    assert code == 1
    assert line.startswith("snakeval: ")
    assert "/proc" in line
