"""Finds the tokenizer of a deployed model for harnesses that must count its tokens.

A completions model requires it: lm-evaluation-harness sends token numbers and asks for the
log-probabilities of some of them. The harness gets the tokenizer where it can read it, and
otherwise the server answers for it. The weights determine the tokenizer, so no score depends on
which of the two it is.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from snakeval.files import DAMAGE, json_value, read_text
from snakeval.serving.deployment import Deployment

#: The type of an endpoint (:class:`snakeval.config.endpoints.EndpointType`, which takes a job too
#: long to import) whose harnesses count tokens.
COMPLETIONS = "completions"
#: The files from which Hugging Face's libraries read a tokenizer without the model's own code.
_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
_CONFIG = "tokenizer_config.json"
#: The option of servers that names another tokenizer than the checkpoint's.
_OTHER = "--tokenizer"


def for_harness(deployment: Deployment) -> dict[str, str]:
    """Return where a harness reads the tokenizer: ``path``, or ``name`` on a hub and ``revision``.

    Empty if no harness asks for one, or only the server can read it. A name on a hub is readable
    because harnesses and servers share the hub's cache.
    """
    definition = deployment.definition
    if definition.endpoint_type != COMPLETIONS or _has_other(definition.extra_args):
        return {}
    if path := deployment.serving.checkpoint_path:
        return {"path": path} if is_tokenizer(Path(path)) else {}
    if not definition.model or ":" in definition.model:  # a file of GGUF
        return {}
    return {"name": definition.model, "revision": definition.revision}


def server_must_answer(deployment: Deployment) -> bool:
    """Whether a harness can ask only the server about its tokens."""
    return deployment.definition.endpoint_type == COMPLETIONS and not for_harness(deployment)


def is_tokenizer(directory: Path) -> bool:
    """Whether *directory* has a tokenizer that needs no code of the model's own."""
    if not any((directory / name).is_file() for name in _FILES):
        return False
    try:
        facts = json_value(read_text(directory / _CONFIG))
    except FileNotFoundError:
        return True
    except (*DAMAGE, OSError):
        return False
    return not (isinstance(facts, dict) and facts.get("auto_map"))


def _has_other(extra_args: str) -> bool:
    return any(word.partition("=")[0] == _OTHER for word in shlex.split(extra_args))
