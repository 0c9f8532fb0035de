"""A vLLM with a fault: ``python faulty_vllm.py FAULT serve ...`` in vLLM's environment.

``stale``: a reload of weights answers that it is done, and keeps the old ones. ``cache``: the
prefix cache is not emptied, although the answer says that it is.
"""

from __future__ import annotations

import sys
from typing import Any

from vllm.entrypoints.cli.main import main
from vllm.v1.engine.async_llm import AsyncLLM


async def _done(self: AsyncLLM, *given: Any, **named: Any) -> Any:
    return True


async def _reloaded(self: AsyncLLM, *given: Any, **named: Any) -> list[None]:
    return [None]


if __name__ == "__main__":
    fault = sys.argv.pop(1)
    if fault == "stale":
        AsyncLLM.collective_rpc = _reloaded
    elif fault == "cache":
        AsyncLLM.reset_prefix_cache = _done
    sys.exit(main())
