"""Makes texts of endpoints and harnesses fit for people: visible, without tokens, and short."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Collection

#: Characters that are invisible, change the direction of a text, or control a terminal.
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
# The patterns are texts, which `re` compiles at their first use: `snakeval --version` has none.
#: A token: the prefix of its service, then so much that no word or name of a model looks like it.
TOKEN = (
    # It begins a word, or follows an escape (%20, \n) or a Bearer that lacks its blank.
    r"(?a)(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt])|(?<=(?i:bearer)))(?P<token>"
    r"(?:hf_|gsk_|r8_|pplx-|gh[opsur]_|[prs]k_(?:live|test)_)[A-Za-z0-9]{16,}"
    r"|github_pat_\w{20,}"
    r"|sk-(?=[\w-]*\d)(?=[\w-]*[A-Za-z0-9]{16})[\w-]{20,}"
    r"|sk-ant-[\w-]{20,}"
    r"|(?:nvapi|glpat|xox[abpr])-(?=[\w-]*\d)[\w-]{16,}"
    r"|dapi[0-9a-f]{32}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"
    r"|AIza[\w-]{30,}"
    r"|eyJ[\w-]{10,}\.eyJ[\w-]{4,}(?:\.[\w-]*)?"
    r")"
    # A key of SSH or TLS has lines; of a cut one, all to the end of the text is hidden.
    r"|-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----(?s:.*?)(?:-----END (?:[A-Z]+ )*PRIVATE KEY-----|\Z)"
)
#: A password in a URL, except one that a template or a shell fills in later.
PASSWORD = r"(?<=://)(?P<user>[^\s/:@'\"]*):(?P<password>[^\s/@'\"${<%*][^\s/@'\"]*)@"

#: A key in the query of a URL, except one that a template or a shell fills in later. Its name says
#: what it is: api-key, access_token, X-Amz-Signature.
QUERY_SECRET = (
    r"(?ai)(?<=[?&])(?P<name>[\w.~-]*(?:key|token|secret|password|passwd|passphrase|pwd|sig|signature"
    r"|auth|authorization|credentials?|jwt|sas)|code)="
    r"(?P<secret>(?![${<*(]|%[(sd])[^\s&#'\"<>]+)"
)

#: How much of a text is read for a line, and how much of that is searched for tokens, which takes
#: seconds in a text of 64 KiB.
_READ, _SEARCHED = 1 << 14, 1 << 12


def visible(text: str, plain: str = "\n\t") -> str:
    """Return *text* with control, format and direction characters shown as ``‹U+202E›``.

    Texts of harnesses, models and endpoints pass through it before a person sees them. The
    characters in *plain* stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"‹U+{ord(char):04X}›"
        if unicodedata.category(char) in _HIDDEN and char not in plain
        else char
        for char in text.replace("\r\n", "\n")
    )


def without_tokens(text: str) -> str:
    """Return *text* with ``***`` for each token, and for each password or key in a URL."""
    if "://" in text:
        text = re.sub(PASSWORD, r"\g<user>:***@", text)
        text = re.sub(QUERY_SECRET, r"\g<name>=***", text)
    return re.sub(TOKEN, "***", text)


def one_line(text: str, limit: int = 300) -> str:
    """Return *text* in one visible line without tokens, in at most *limit* characters.

    Only the beginning of a text of any length is read.
    """
    return shortened(without_tokens(visible(" ".join(text[:_READ].split())[:_SEARCHED])), limit)


def listed(names: Collection[str], most: int = 5) -> str:
    """Return the first *most* of names that a server chose, fit for a line.

    >>> listed(["gpt-4o", "qwen", "phi"], 2)
    'gpt-4o, qwen and 1 more'
    """
    first = ", ".join(one_line(name, 100) for name in itertools.islice(names, most))
    return f"{first} and {len(names) - most} more" if len(names) > most else first


def shortened(text: str, limit: int) -> str:
    """Return *text* in at most *limit* characters, cut after a sentence or else after a word."""
    if len(text) <= limit:
        return text
    end = text.rfind(". ", 0, limit)
    if end > limit // 3:
        return text[: end + 1]
    words = text[: max(0, limit - 1)]
    return (words.rpartition(" ")[0] or words).rstrip(",;:") + "…"
