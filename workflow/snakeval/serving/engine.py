"""The requests by which an inference engine loads weights while it runs.

Adapters: vLLM (``/v1/load_lora_adapter``) and SGLang (``/load_lora_adapter``), by the paths of the
catalogue. Full weights: vLLM's development interface, with ``VLLM_SERVER_DEV_MODE=1``.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import urllib.error
from typing import Any

from snakeval import catalogue
from snakeval.errors import EvaluationError
from snakeval.files import DAMAGE, json_value
from snakeval.serving.deployment import Deployment
from snakeval.serving.probe import get

#: How long an engine has to load weights, in seconds.
_SECONDS = 1800.0
_ERRORS = (OSError, http.client.HTTPException, *DAMAGE)


class EngineError(Exception):
    """An engine did not do what it was asked for, so its weights are not known."""


def load(base: str, deployment: Deployment, name: str) -> None:
    """Load an adapter under a *name*.

    Raises:
        EvaluationError: the engine refuses it.
        EngineError: there was no answer.
    """
    kind = catalogue.server_kind(deployment.definition.kind)
    adapter = {"lora_name": name, "lora_path": deployment.weights_path}
    try:
        _post(base, kind.adapter_load, adapter)
    except urllib.error.HTTPError as error:
        raise EvaluationError(f"its server refuses the adapter: {_said(error)}") from None
    except _ERRORS as error:
        raise EngineError(_said(error)) from None


def unload(base: str, deployment: Deployment, name: str) -> None:
    """Unload an adapter. One that stays does no harm, since no request has its name."""
    kind = catalogue.server_kind(deployment.definition.kind)
    with contextlib.suppress(*_ERRORS):
        _post(base, kind.adapter_unload, {"lora_name": name})


def reload(base: str, path: str) -> None:
    """Replace the weights by those of the directory *path*, which must exist.

    Raises:
        EngineError: it did not.
    """
    try:
        _post(
            base, "/collective_rpc", {"method": "reload_weights", "kwargs": {"weights_path": path}}
        )
    except _ERRORS as error:
        raise EngineError(_said(error)) from None


def has_emptied_cache(base: str) -> bool:
    """Empty the prefix cache; return whether the engine did. It cannot while requests run.

    Raises:
        EngineError: there was no answer.
    """
    try:
        said = _post(base, "/reset_prefix_cache", {})
    except _ERRORS as error:
        raise EngineError(_said(error)) from None
    # Older versions answer nothing.
    return bool(said.get("success", True)) if isinstance(said, dict) else True


def _post(base: str, path: str, body: dict[str, Any]) -> Any:
    answer = get(f"{base}{path}", _SECONDS, json.dumps(body).encode())
    try:
        return json_value(answer)
    except ValueError:
        return answer.decode(errors="replace")


def _said(error: BaseException) -> str:
    """Return the text of an error in one line."""
    if not isinstance(error, urllib.error.HTTPError):
        return f"{getattr(error, 'reason', error)}"
    with error:
        text = error.read(2000).decode(errors="replace")
    with contextlib.suppress(*DAMAGE):
        text = str(json_value(text)["error"]["message"])
    return f"HTTP {error.code}: {' '.join(text.split()):.300}"
