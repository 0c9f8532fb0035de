"""What a person sees who asks an endpoint."""

from __future__ import annotations

import urllib.error
import urllib.request


def status(url: str, token: str) -> int:
    """The HTTP status that *url* answers with to whoever has *token*."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
