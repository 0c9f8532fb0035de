"""A directory, perhaps a configuration, and Snakemake run there as a person would run it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import yaml

from support import forks
from support.limits import HUNG

REPOSITORY = Path(__file__).parents[2]

#: Asks the model one question; the score is the number that it answers, plus an offset.
ASK = """\
python3 - {{ url }} {{ model_id }} {{ params.extra.offset | default(0) }} <<'PYTHON' \
> {{ results }}/answer.json
import json, pathlib, sys, urllib.request
url, model, offset = sys.argv[1:]
message = {"role": "user", "content": pathlib.Path("question.txt").read_text()}
request = urllib.request.Request(
    url,
    json.dumps({"model": model, "messages": [message]}).encode(),
    {"Content-Type": "application/json"},
)
with urllib.request.urlopen(request) as answer:
    text = json.load(answer)["choices"][0]["message"]["content"]
print(json.dumps({"number": int(text) + int(offset)}))
PYTHON
"""
NUMBER = {"file": "answer.json", "values": {"number": {"value": "number"}}}


@dataclass
class Done:
    """How a command ended, and all that it printed."""

    exit_code: int
    output: str

    @property
    def evaluated(self) -> set[str]:
        """The evaluations that ran, or in a dry run would."""
        return set(re.findall(r"^evaluate  (\S+/\S+)$", self.output, re.MULTILINE))

    @property
    def nothing_to_do(self) -> bool:
        return "Nothing to be done" in self.output


@dataclass
class Workspace:
    """``config``, where there is one, is written to ``config.yaml`` before each command."""

    directory: Path
    home: Path
    config: dict[str, Any] = field(default_factory=dict)

    def question(self, name: str, text: str) -> str:
        """Define a benchmark's prompt; return the directory that defines it."""
        place = self.directory / "benchmarks" / name
        place.mkdir(parents=True, exist_ok=True)
        (place / "question.txt").write_text(text)
        return f"benchmarks/{name}"

    def ask(self, name: str, text: str) -> dict[str, Any]:
        """Return a benchmark of one question."""
        files = self.question(name, text)
        return {"harness": "generic", "command": ASK, "metrics": NUMBER, "files": files}

    @classmethod
    def below(cls, directory: Path, **config: Any) -> Workspace:
        """Return a new one in a directory of a test, with a home of its own."""
        work = directory / "work"
        work.mkdir()
        return cls(work, directory / "home", config)

    def command(self, *options: str) -> list[str]:
        configured = []
        if self.config:
            text = yaml.safe_dump(self.config, sort_keys=False)
            (self.directory / "config.yaml").write_text(text)
            configured = ["--configfile", "config.yaml"]
        return [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")),
            *("--profile", str(REPOSITORY / "profiles" / "local")),
            *(*configured, "--cores", "2", *options),
        ]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "SNAKEVAL_HOME": str(self.home)}

    def snakemake(self, *options: str) -> Done:
        process = self.start(*options)
        output, _ = process.communicate(timeout=HUNG)
        return Done(process.returncode, output)

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start it as the leader of a process group, as a terminal does."""
        return forks.Process(
            self.command(*options),
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @property
    def runs(self) -> list[Path]:
        # Not `*-*`: a command that starts keeps a hidden file beside the runs.
        return sorted(self.directory.glob("results/[0-9]*-*"))

    @property
    def run(self) -> Path:
        (run,) = self.runs
        return run

    def table(self, run: Path | None = None) -> pd.DataFrame:
        frame = pd.read_csv(
            (run or self.run) / "results.csv", keep_default_na=False, na_values=[""]
        )
        return frame.set_index(frame["model"].astype(str) + "/" + frame["benchmark"].astype(str))

    def processes(self) -> list[psutil.Process]:
        """Every process of this workspace on this machine that has not ended."""
        ours = f"SNAKEVAL_HOME={self.home}".encode()
        found = []
        for pid in psutil.pids():
            # psutil would take apart each environment; tests that wait ask for all very often.
            with suppress(OSError, psutil.Error):
                if ours in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    found.append(psutil.Process(pid))
        return found

    def copy(self, directory: Path) -> Workspace:
        shutil.copytree(self.directory, directory, dirs_exist_ok=True)
        config = yaml.safe_load((directory / "config.yaml").read_text())
        return Workspace(directory, self.home, config)
