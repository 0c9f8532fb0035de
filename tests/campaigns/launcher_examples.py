"""A campaign of configurations of NVIDIA's launcher: which of them snakeval plans, and why not.

The examples of the launcher are in the history of the public repository NVIDIA-NeMo/Evaluator. They
are not part of this repository; ``launcher_examples.tsv`` has the names, the commits and the
outcomes.

1. ``launcher_examples.py extract REPOSITORY FOLDER`` writes each version of each example of a
   local copy of that repository to ``FOLDER/COMMIT/PATH``, and those of the release to
   ``FOLDER/TAG/PATH``.
2. ``PYTHON launcher_examples.py launcher FOLDER`` adds ``FOLDER/launcher.json``: which of them the
   launcher itself plans (``run --dry-run``). PYTHON is that of an environment with
   ``nemo-evaluator-launcher==0.2.6``.
3. ``launcher_examples.py table FOLDER`` plans each version with snakeval, writes the table, and
   prints its totals. It ends with 1 if snakeval plans fewer than the limits below.

All fill placeholders in the same way: ``???``, paths that do not exist, variables that are not set.
A version that the launcher does not plan counts in no limit.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TABLE = HERE / "launcher_examples.tsv"
EXAMPLES = "packages/nemo-evaluator-launcher/examples"
RELEASE = "nemo-evaluator-launcher-v0.2.6"
#: How many of the examples, and which share of all versions, snakeval may refuse.
REFUSED_EXAMPLES, REFUSED_VERSIONS = 1, 0.05
#: What stands for ``???`` of a key; the name of the key stands for the others.
PLACEHOLDERS = {
    "hostname": "localhost",
    "url": "http://127.0.0.1:9/v1/chat/completions",
    "tracking_uri": "http://127.0.0.1:9",
    "output_dir": "{place}/results",
    "checkpoint_path": "{place}",
    "num_nodes": "1",
    "walltime": '"01:00:00"',
}
COLUMNS = ("set", "commit", "example", "launcher", "snakeval", "reason")


def filled(text: str, place: Path) -> str:
    """Return a configuration with a value for each ``???`` and each path of an example."""

    def value(match: re.Match[str]) -> str:
        key = match["key"]
        return match["before"] + PLACEHOLDERS.get(key, key).format(place=place)

    text = re.sub(r"(?P<before>\b(?P<key>\w+):[ ]+)['\"]?\?\?\?['\"]?", value, text)
    return re.sub(r"/path/to/[\w./-]+", str(place), text)


def set_variables(text: str) -> None:
    """Set each variable of this process that a configuration names."""
    names = re.findall(
        r"(?:host:|runtime:|oc\.env:)(\w+)|:\s*([A-Z][A-Z0-9_]+)\s*(?:#|$)", text, re.M
    )
    for name in filter(None, (part for pair in names for part in pair)):
        os.environ.setdefault(name, "placeholder")


def versions(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder that are configurations, as paths below it."""
    for file in sorted(folder.rglob("*.y*ml")):
        if "data" not in file.relative_to(folder).parts:
            yield file.relative_to(folder)


# --- the files ------------------------------------------------------------------------------------


def extract(repository: Path, folder: Path) -> None:
    """Write each version of each example of all branches and tags of *repository* to *folder*."""

    def git(*words: str) -> bytes:
        return subprocess.run(
            ["git", "-C", str(repository), *words], check=True, capture_output=True
        ).stdout

    def write(commit: str, path: str, blob: str) -> None:
        file = folder / commit / path.removeprefix(EXAMPLES + "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(git("cat-file", "blob", blob))

    log = git("log", "--all", "--reverse", "--topo-order", "--raw", "--no-abbrev", "--no-renames",
              "-m", "--format=%H", "--", EXAMPLES).decode()  # fmt: skip
    commit, seen = "", set()
    for line in log.splitlines():
        if not line.startswith(":"):
            commit = line or commit
            continue
        facts, path = line.split("\t")
        blob = facts.split()[3]
        if path.endswith((".yaml", ".yml")) and set(blob) != {"0"} and (path, blob) not in seen:
            seen.add((path, blob))
            write(commit[:10], path, blob)
    for path in git("ls-tree", "-r", "--name-only", RELEASE, EXAMPLES).decode().split():
        if path.endswith((".yaml", ".yml")):
            write(RELEASE, path, f"{RELEASE}:{path}")


# --- the launcher ---------------------------------------------------------------------------------


def launcher(folder: Path) -> None:
    """Plan each version with the launcher that this Python has."""
    os.environ |= {
        "NEMO_EVALUATOR_TELEMETRY_LEVEL": "0",
        "NEMO_EVALUATOR_TRUST_PRE_CMD": "1",
        "NEMO_EVALUATOR_TRUST_UNLISTED_TASKS": "1",
        "LOG_LEVEL": "CRITICAL",
        "HOME": tempfile.mkdtemp(),
    }
    from nemo_evaluator_launcher.api.functional import (  # type: ignore[import-not-found]
        RunConfig,
        run_eval,
    )

    _once()
    outcomes: dict[str, str] = {}
    for version in versions(folder):
        with tempfile.TemporaryDirectory() as name:
            place = Path(name)
            file = place / version.name
            text = filled((folder / version).read_text(), place)
            set_variables(text)
            file.write_text(text)
            output = io.StringIO()
            try:
                with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                    run_eval(RunConfig.from_hydra(config=str(file)), True)
                # On Lepton the launcher reports an error so, and returns.
                wrong = re.search(
                    r"(?i)configuration invalid.*|validation failed.*", output.getvalue()
                )
                outcomes[str(version)] = wrong[0] if wrong else "planned"
            except (Exception, SystemExit) as error:
                outcomes[str(version)] = f"{type(error).__name__}: {error}".replace(name, "")[:2000]
        print(len(outcomes), version, outcomes[str(version)][:150], flush=True)
    (folder / "launcher.json").write_text(json.dumps(outcomes, indent=1))


def _once() -> None:
    """Let the launcher parse its catalogue once, which takes 1.5 s, not once for each task."""
    import functools

    from nemo_evaluator_launcher.common import mapping  # type: ignore[import-not-found]

    mapping.load_tasks_from_tasks_file = functools.cache(mapping.load_tasks_from_tasks_file)


# --- snakeval -------------------------------------------------------------------------------------


def planned(text: str, name: str, place: Path) -> str:
    """Plan one configuration with snakeval; return the error, or an empty text."""
    from snakeval import exporters
    from snakeval.config import compose
    from snakeval.config.load import check
    from snakeval.config.nemo_launcher import translate
    from snakeval.errors import ConfigError
    from snakeval.matrix.expand import expand

    set_variables(text)
    (place / f"{name}.yaml").write_text(filled(text, place))
    try:
        source = translate(compose.compose(place, name), name).source
        _existing(source.data, place)
        config = check(source)
        for destination, options in config.export.items():
            exporters.find(destination, options)
        if not expand(config):
            return "plans no evaluation"
    except ConfigError as error:
        said = str(error).replace(f"{place}/{name}.yaml: ", "").replace(f"{place}/", "")
        return said.replace(str(place), ".")
    return ""


def _existing(data: Any, place: Path) -> None:
    """Replace paths of the author's machine, which snakeval requires to exist, by *place*."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        if isinstance(value, (dict, list)):
            _existing(value, place)
        elif key in ("source", "checkpoint_path") and value and not (place / str(value)).exists():
            data[key] = str(place)


def table(folder: Path) -> int:
    """Write the table of all versions; return 1 if snakeval refuses too many."""
    launched = json.loads((folder / "launcher.json").read_text())
    rows = []
    for version in versions(folder):
        with tempfile.TemporaryDirectory() as name:
            reason = planned((folder / version).read_text(), version.stem, Path(name))
        commit, *path = version.parts
        rows.append(
            {
                "set": "example" if commit == RELEASE else "version",
                "commit": commit,
                "example": "/".join(path),
                "launcher": "planned" if launched[str(version)] == "planned" else "refused",
                "snakeval": "refused" if reason else "planned",
                "reason": " | ".join(line[:160] for line in reason.splitlines()[:3]),
            }
        )
    with TABLE.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return report(rows)


def report(rows: list[dict[str, str]]) -> int:
    """Print the totals of *rows*; return 1 if snakeval refuses too many."""
    refused = {}
    for kind in ("example", "version"):
        those = [row for row in rows if row["set"] == kind]
        both = [row for row in those if row["launcher"] == "planned"]
        refused[kind] = [row for row in both if row["snakeval"] == "refused"]
        plans = sum(row["snakeval"] == "planned" for row in those)
        print(
            f"{kind}s: {len(those)}; the launcher plans {len(both)}, snakeval {plans}; of the "
            f"launcher's, snakeval refuses {len(refused[kind])}"
        )
    for row in (*refused["example"], *refused["version"]):
        print(f"  {row['commit']} {row['example']}: {row['reason']}")
    allowed = REFUSED_VERSIONS * sum(
        row["launcher"] == "planned" for row in rows if row["set"] == "version"
    )
    return len(refused["example"]) > REFUSED_EXAMPLES or len(refused["version"]) > allowed


def main(words: list[str]) -> int:
    """Do the step that *words* name."""
    match words:
        case ["extract", repository, folder]:
            extract(Path(repository), Path(folder))
        case ["launcher", folder]:
            launcher(Path(folder))
        case ["table", folder]:
            return table(Path(folder))
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
