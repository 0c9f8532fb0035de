"""Lepton: evaluations as its jobs, models as its endpoints.

``snakemake-executor-plugin-lepton`` submits the jobs and knows nothing of snakeval.
``profiles/lepton`` makes it run snakeval's commands on this machine (``__main__``): before an
evaluation's job, to define the job; after it, to write the completion record; and to serve a
model. Only serving models imports the platform's library.
"""

from __future__ import annotations

import importlib.util

from snakeval.errors import EvaluationError
from snakeval.executors.lepton.notes import Notes as Notes

#: As people call the platform.
TITLE = "Lepton"
#: The variables of a job that contain its run and its evaluation.
RUN, EVALUATION = "SNAKEVAL_RUN_NAME", "SNAKEVAL_EVALUATION"


def need_library() -> None:
    """Look for the platform's library, before a module is imported that needs it.

    Raises:
        EvaluationError: it is not installed.
    """
    if importlib.util.find_spec("leptonai") is None:
        raise EvaluationError("Lepton needs its library: pip install 'snakeval[lepton]'")
