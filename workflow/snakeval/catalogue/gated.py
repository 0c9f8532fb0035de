"""Tasks whose data sets Hugging Face hands out only to accounts that accepted their terms.

``gated_tasks.csv`` lists them: a regular expression of the tasks' names, and the data set. The
pages of ``cais/hle`` and ``allenai/wildguardmix`` on the hub ask for consent. NVIDIA names GPQA,
HLE and Aegis v2 as data sets that require the token and an approval
(https://docs.nvidia.com/nemo/eval/0.1.0/troubleshooting/setup-issues/authentication.html).
"""

from __future__ import annotations

import re
from functools import cache

from snakeval.catalogue import rows

#: The variable from which every library of Hugging Face reads its token.
VARIABLE = "HF_TOKEN"
#: The variable that keeps these libraries from the network, so that they use only their cache.
OFFLINE = "HF_HUB_OFFLINE"


@cache
def data_set(task: str) -> str:
    """Return the gated data set of a task, or an empty text.

    >>> data_set("lm-eval.gpqa_diamond_cot_zeroshot"), data_set("gsm8k")
    ('Idavidrein/gpqa', '')
    """
    name = task.rpartition(".")[2]
    for row in rows("gated_tasks.csv"):
        if re.fullmatch(row["tasks"], name, re.IGNORECASE):
            return row["data_set"]
    return ""
