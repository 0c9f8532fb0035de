"""Keeps what snakeval serves from being asked through a proxy.

Harnesses take proxies from the environment. A proxy cannot reach the ledger's gateway on this
machine, and it would see the token. ``NO_PROXY`` therefore names the gateway, in both spellings:
some programs read one of them only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_BYPASSES = ("no_proxy", "NO_PROXY")


def bypass(variables: Mapping[str, str], urls: Iterable[str]) -> dict[str, str]:
    """Return ``NO_PROXY`` in both spellings with the hosts of *urls*; nothing without a proxy.

    *variables* are those that the harness gets.
    """
    hosts = dict.fromkeys(host for url in urls if (host := urlsplit(url).hostname))
    if not hosts or not any(variables.get(n) or variables.get(n.upper()) for n in _PROXIES):
        return {}
    found = {}
    for name, other in zip(_BYPASSES, reversed(_BYPASSES), strict=True):
        listed = variables.get(name) or variables.get(other) or ""
        known = listed.replace(",", " ").split()
        found[name] = ",".join([*known, *(host for host in hosts if host not in known)])
    return found
