"""The way to an endpoint: address, proxy and TLS.

Proxies come from the environment (``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY``, in
lower or upper case) or from the configuration. A request over HTTP reaches a proxy in absolute
form, and a request over HTTPS goes through a tunnel (RFC 9110, 7.1 and 9.3.6). ``NO_PROXY`` lists
hosts, domains, ``host:port``, networks (``10.0.0.0/8``) or ``*``.
"""

from __future__ import annotations

import base64
import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

_PORTS = {"http": 80, "https": 443}


class BadRoute(Exception):
    """A URL, a proxy or a certificate of the configuration cannot be used."""


@dataclass(frozen=True)
class Origin:
    """Scheme, host and port of an endpoint, or the path of its Unix socket."""

    scheme: str
    host: str
    port: int
    socket: str = ""

    @property
    def authority(self) -> str:
        """The value of the ``Host`` header (RFC 9110, 7.2)."""
        if self.socket:
            return "localhost"
        host = self.full.rpartition(":")[0]
        return host if self.port == _PORTS[self.scheme] else self.full

    @property
    def full(self) -> str:
        """Host and port, as ``CONNECT`` requires (RFC 9110, 9.3.6)."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def origin_of(url: str) -> Origin:
    """Return the origin of a URL; ``http+unix://%2Frun%2Fserver.sock/v1`` names a Unix socket.

    Raises:
        BadRoute: the URL has no host, or another scheme.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadRoute(f"{url}: {error}") from None
    if parts.scheme in ("http+unix", "https+unix") and parts.netloc:
        scheme = parts.scheme[: -len("+unix")]
        return Origin(scheme, "localhost", _PORTS[scheme], unquote(parts.netloc))
    if parts.scheme not in _PORTS or not parts.hostname:
        raise BadRoute(f"{url}: no http or https URL")
    return Origin(parts.scheme, parts.hostname, port or _PORTS[parts.scheme])


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy, and the value of its ``Proxy-Authorization`` header if it wants one."""

    origin: Origin
    authorization: str


@dataclass(frozen=True)
class Route:
    """How to connect to an origin."""

    origin: Origin
    proxy: Proxy | None
    tls: ssl.SSLContext | None
    proxy_tls: ssl.SSLContext | None = None

    @property
    def absolute_form(self) -> bool:
        """Whether requests name the whole URL, as a proxy of plain HTTP requires."""
        return self.proxy is not None and self.origin.scheme == "http"


def route_to(url: str, options: Mapping[str, Any], environment: Mapping[str, str]) -> Route:
    """Return the route to a URL.

    Args:
        url: of the endpoint.
        options: ``verify`` (true, false, or a file or folder of certificates), ``cert`` (the
            client's certificate, or a pair of certificate and key), ``proxy`` (false: none; a URL;
            absent: the environment decides).
        environment: with the variables of proxies.

    Raises:
        BadRoute: the configuration cannot be used.
    """
    origin = origin_of(url)
    tls = tls_context(options) if origin.scheme == "https" else None
    address = proxy_for(origin, options.get("proxy"), environment)
    if not address:
        return Route(origin, None, tls)
    if "://" not in address:
        address = f"http://{address}"
    place = origin_of(address)
    proxy_tls = tls_context(options) if place.scheme == "https" else None
    return Route(origin, Proxy(place, _authorization(urlsplit(address))), tls, proxy_tls)


def proxy_for(origin: Origin, wanted: str | bool | None, env: Mapping[str, str]) -> str:
    """Return the URL of the proxy for an origin, or an empty text."""
    if wanted is False or origin.socket:
        return ""
    if isinstance(wanted, str) and wanted:
        return wanted
    found = next(
        (
            env[name]
            for kind in (f"{origin.scheme}_proxy", "all_proxy")
            for name in (kind, kind.upper())
            if env.get(name)
        ),
        "",
    )
    bypass = env.get("no_proxy") or env.get("NO_PROXY") or ""
    return "" if found and _bypassed(origin, bypass) else found


def _bypassed(origin: Origin, list_of_hosts: str) -> bool:
    host = origin.host.lower().rstrip(".")
    for entry in list_of_hosts.lower().replace(",", " ").split():
        name, colon, port = entry.rpartition(":")
        if colon and port.isdigit() and (":" not in name or name.endswith("]")):
            if int(port) != origin.port:
                continue
            entry = name
        entry = entry.strip("[]")
        domain = entry.lstrip("*").lstrip(".")
        if entry == "*" or host == domain or (domain and host.endswith(f".{domain}")):
            return True
        if _in_network(host, entry):
            return True
    return False


def _in_network(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _authorization(proxy: SplitResult) -> str:
    if proxy.username is None:
        return ""
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def tls_context(options: Mapping[str, Any]) -> ssl.SSLContext:
    """Return the TLS settings. ``SSL_CERT_FILE`` counts, as everywhere with OpenSSL.

    Raises:
        BadRoute: a certificate cannot be read.
    """
    context = ssl.create_default_context()
    verify, cert = options.get("verify", True), options.get("cert")
    try:
        if isinstance(verify, str):
            context.load_verify_locations(**_place(verify))
        if cert:
            context.load_cert_chain(*([cert] if isinstance(cert, str) else cert))
    except (OSError, ssl.SSLError) as error:
        raise BadRoute(
            f"certificate {verify if isinstance(verify, str) else cert}: {error}"
        ) from None
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _place(path: str) -> dict[str, str]:
    return {"capath" if Path(path).is_dir() else "cafile": path}
