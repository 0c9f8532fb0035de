"""The words of providers for the end of a text, and the tags around its reasoning.

Sources: OpenAI's API (``finish_reason``), and the words of Anthropic, Gemini, Mistral, DeepSeek,
Zhipu, Cohere, Ollama, TGI and vLLM that routers pass on.
"""

from __future__ import annotations

import re

_CUT = {
    "length", "max_tokens", "max_output_tokens", "max_length", "model_length", "incomplete",
    "model_context_window_exceeded",
}  # fmt: skip
_FILTERED = {
    "content_filter", "content_filtered", "safety", "recitation", "blocklist",
    "prohibited_content", "spii", "image_safety", "sensitive", "refusal",
}  # fmt: skip
_DIED = {
    "abort", "aborted", "error", "failed", "cancelled", "network_error",
    "insufficient_system_resource",
}  # fmt: skip
_WHOLE = {
    "stop", "stop_sequence", "stop_token", "eos", "eos_token", "end_turn", "end", "complete",
    "completed", "done", "finished", "tool_calls", "tool_call", "tool_use", "function_call",
}  # fmt: skip
_KNOWN = _WHOLE | _CUT | _FILTERED
#: The finish reason of a text whose answer has none.
UNKNOWN = "unknown"
#: The finish reason of a text that has an error beside it.
DIED = "error"
_NAMES = "think|thinking|thought|reasoning|seed:think"
#: A tag before reasoning, or the one after it.
_TAG = re.compile(
    rf"<(?P<end>/)?(?:{_NAMES})>|\[(?P<end2>/)?think\]|◁(?P<end3>/)?think▷"
    r"|<\|channel\|>(?:analysis|(?P<end4>final))<\|message\|>",
    re.IGNORECASE,
)


def is_cut(finish: str) -> bool:
    """Whether a token limit ended a text, by its ``finish_reason``; providers differ."""
    return finish.lower() in _CUT


def is_filtered(finish: str) -> bool:
    """Whether a filter of the provider ended a text."""
    return finish.lower() in _FILTERED


def died(finish: str) -> bool:
    """Whether the provider failed while it wrote a text."""
    return finish.lower() in _DIED


def is_known(finish: str) -> bool:
    """Whether a finish reason says if a text is whole."""
    return finish.lower() in _KNOWN


def without_reasoning(text: str) -> tuple[str, bool]:
    """Return *text* without reasoning that is in tags, and whether it has any.

    Templates often write the first tag, so that the text of the model has only the last one.

    >>> without_reasoning("<think>2 + 2 is 4.</think>4"), without_reasoning("2 + 2 is 4.</think>4")
    (('4', True), ('4', True))
    >>> without_reasoning("<think>2 + 2 ")
    ('', True)
    """
    if "<" not in text and "[" not in text and "◁" not in text:
        return text, False
    kept: list[str] = []
    place, thinks, is_open = 0, False, False
    for tag in _TAG.finditer(text):
        before = text[place : tag.start()]
        if tag.lastgroup is None:
            if is_open:
                continue  # a tag within the reasoning
            kept.append(before)
        else:
            # Without a tag before it, all the text up to here is reasoning.
            kept = kept if is_open else []
            thinks |= bool(before.strip())
        is_open, place = tag.lastgroup is None, tag.end()
    rest = text[place:]
    thinks |= is_open and bool(rest.strip())
    return "".join(kept) + ("" if is_open else rest), thinks
