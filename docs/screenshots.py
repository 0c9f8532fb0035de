"""Makes the pictures of the report in docs/: `PYTHONPATH=tests python docs/screenshots.py RUN`.

RUN is the directory of a run of the demo. This script creates the other run.
"""

import math
import os
import random
import sys
import tempfile
from pathlib import Path

from small_png import small

from snakeval.results import report
from snakeval.run.directory import RunDirectory
from support.browser import browser
from support.sampled import Sampled, answers

HERE = Path(__file__).parent
MODELS = [f"model-{number:02}" for number in range(1, 21)]
BENCHMARKS = [f"task-{number:02}" for number in range(1, 21)]


def twenty_by_twenty(directory: Path) -> RunDirectory:
    """A run with one failure and one evaluation that is not done."""
    chance = random.Random(1)
    scores = {
        model: {
            name: answers(200, 0.25 + 0.03 * rank + chance.uniform(0, 0.15), chance.randrange(999))
            for name in BENCHMARKS
        }
        for rank, model in enumerate(MODELS)
    }
    del scores["model-07"]["task-05"], scores["model-17"]["task-15"]
    run = Sampled(directory, scores, name="twenty-by-twenty")
    run["model-07/task-05"].path.mkdir()
    run["model-07/task-05"].fail("model deployment failed: out of memory")
    return run.directory


def training(directory: Path) -> RunDirectory:
    """A run of the checkpoints of two trainings, of which one failed, and of their base model."""
    chance = random.Random(4)
    scores: dict[str, dict[str, list[int]]] = {"base": {}}
    for name, ease, n in (("gsm8k", 0.55, 1319), ("ifeval", 0.7, 541)):
        scores["base"][name] = answers(n, 0.6 * ease, 1)
        for series, rate in (("run7", 5.0), ("run6", 2.5)):
            for step in range(500, 20_001, 500):
                gain = 1 - math.exp(-rate * step / 20_000) + chance.uniform(-0.04, 0.04)
                found = answers(n, ease * (0.3 + 0.8 * gain), step)
                scores.setdefault(f"{series}@{step}", {})[name] = found
    del scores["run6@12000"]["gsm8k"]
    run = Sampled(directory, scores, name="pretraining")
    run["run6@12000/gsm8k"].path.mkdir()
    run["run6@12000/gsm8k"].fail("model deployment failed: out of memory")
    return run.directory


with tempfile.TemporaryDirectory() as directory, browser() as chromium:
    os.environ["SNAKEVAL_HOME"] = directory
    run = training(Path(directory))
    report.write(run)
    chromium.open(run.curves)
    (HERE / "curves.png").write_bytes(small(chromium.picture(1280, 1000)))
    chromium.open(report.write(RunDirectory(sys.argv[1])))
    (HERE / "report.png").write_bytes(small(chromium.picture(1440, 900)))
    chromium.run("location.hash = 'samples/letters/sloppy/wrong/careful'")
    chromium.click("#items .opens")
    chromium.texts("#items .answers > div")
    (HERE / "report-phone.png").write_bytes(
        small(chromium.picture(390, 844, dark=True, at="#samples"))
    )
    chromium.open(report.write(twenty_by_twenty(Path(directory))))
    (HERE / "report-20x20.png").write_bytes(small(chromium.picture(1440, 900, at="#matrix")))
