"""Lepton: evaluations as its jobs, models as its endpoints.

``snakemake-executor-plugin-lepton`` submits the jobs and knows nothing of snakeval. What is ours
are the commands that ``profiles/lepton`` has it run on this machine (``__main__``): before an
evaluation's job (what it shall run), after it (its completion record, by the same code as
everywhere), and to serve a model. The platform's library is imported only to serve models.
"""

from __future__ import annotations

import importlib.util

from snakeval.errors import EvaluationError
from snakeval.executors.lepton.notes import Notes as Notes

#: As people call the platform.
TITLE = "Lepton"
#: The variables by which a job tells what it is.
RUN, EVALUATION = "SNAKEVAL_RUN_NAME", "SNAKEVAL_EVALUATION"


def need_library() -> None:
    """Look for the platform's library, before a module is imported that needs it.

    Raises:
        EvaluationError: it is not installed.
    """
    if importlib.util.find_spec("leptonai") is None:
        raise EvaluationError("Lepton needs its library: pip install 'snakeval[lepton]'")
