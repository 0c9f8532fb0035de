"""A campaign of kills: whatever dies beside an evaluation, no answered request is asked again.

Each seed is one evaluation of a harness that asks 40 requests, and one kill with SIGKILL: of the
harness, of the job, of the gateway, or of all three at once. Its moment comes from the seed.
Afterwards the same job runs until it ends with 0. The endpoint counts what arrives, and no two of
its answers are equal. The evaluation is sound if

* after a kill of the harness or of the job, no request arrived that had been answered or was under
  way: as many arrived as the harness needs,
* after a kill of the gateway or of everything, at most those arrived again that were under way,
* the K answers to each item are K different ones, with K seeds in a row,
* the scores are, to the digit, those of an evaluation without a kill,
* no process is left, and two jobs after the kill were enough.

``python tests/campaigns/kills.py --seconds 45`` plays the next seeds of ``kills.jsonl`` and appends
their results; ``--seed N`` plays one again. The harness is bash with curl; ``--harness`` chooses
another one of :mod:`campaigns.kill_harnesses`. ``--docker`` runs it in a container. ``--slurm``
runs the job in Slurm, started by Snakemake with the profile of Slurm; see
:mod:`campaigns.kill_jobs`. It ends with 1 if an evaluation is not sound.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))

from campaigns import kill_harnesses, seeds  # noqa: E402
from campaigns.kill_endpoint import serving  # noqa: E402
from campaigns.kill_jobs import Played, PlayedOnSlurm  # noqa: E402

RESULTS = HERE / "kills.jsonl"


class Campaign:
    """Plays seeds with one harness in one runtime."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        #: An evaluation without a kill.
        self.whole = cache(lambda: self._play(None))

    def play(self, seed: int) -> dict[str, Any]:
        """Play one seed; return its result."""
        whole, result = self.whole(), self._play(seed)
        problems, scores = result.pop("problems"), result.pop("scores")
        if scores != whole["scores"]:
            problems.append(f"the scores are {scores}, without a kill {whole['scores']}")
        helpers = result.pop("helpers") - whole["helpers"]
        if helpers > result.pop("allowed"):
            problems.append(f"{helpers} texts were split into tokens again")
        return {**result, "score": scores[0]["value"] if scores else None, "problems": problems}

    def _play(self, seed: int | None) -> dict[str, Any]:
        """Play one seed, or an evaluation without a kill. Files of a sound one are removed."""
        given = self.given
        began = time.monotonic()
        # Not in $TMPDIR: `docker` in a sandbox, and a job of Slurm, have one of their own.
        place = Path(tempfile.mkdtemp(prefix=f"snakeval-kills-{seed}-"))
        made = PlayedOnSlurm if given.slurm else Played
        with serving() as endpoint:
            played = made(seed, place, endpoint, given.harness, given.docker, given.environments)
            try:
                played.play()
            finally:
                played.clear()
        result = {**played.result(), "seconds": round(time.monotonic() - began, 1)}
        if seed is None and played.problems:
            raise RuntimeError(f"without a kill: {played.problems}; files: {place}")
        if played.problems or given.seed is not None:
            print(f"files: {place}")
        else:
            shutil.rmtree(place)
        return result


def main() -> int:
    """Play seeds; return 1 if an evaluation was not sound."""
    parser = seeds.parser(__doc__)
    names = kill_harnesses.NAMES
    parser.add_argument("--harness", choices=names, default="commands", help="what asks")
    parser.add_argument("--docker", action="store_true", help="run the harness in its image")
    parser.add_argument("--slurm", action="store_true", help="run the job in Slurm")
    parser.add_argument(
        "--environments",
        type=Path,
        default=Path(tempfile.gettempdir()) / "snakeval-kills-environments",
        help="where harnesses without an image are installed, once for all seeds",
    )
    given = parser.parse_args()
    if given.harness == "eval-factory" and not given.docker:
        parser.error("an eval-factory harness has an image; add --docker")
    if given.harness == "inspect" and given.docker:
        parser.error("there is no image with inspect_ai")
    return seeds.one_by_one(given, RESULTS, Campaign(given).play, "evaluations")


if __name__ == "__main__":
    sys.exit(main())
