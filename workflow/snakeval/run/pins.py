"""Pins of a run: the digest of each image, and the commit of each model on a hub.

A tag may move and a hub's branch may grow while a run lives, so that its rows would compare
different things. The head resolves them once, at the run's first real start, and every later start
uses the result until ``--update-images``. An image whose digest is unknown stays pinned to its tag,
and the table marks it.

Jobs also import this module, and none resolves: what only that requires is imported there.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from snakeval.evaluation.plain import build
from snakeval.files import home, json_object, sealed, without_seal

#: How long a registry or a hub may take for each answer, in seconds.
_TIMEOUT = 10.0
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_DOCKER_HUB = "registry-1.docker.io"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_HUB = "https://huggingface.co"
_Name = TypeVar("_Name")


class _LoginError(ValueError):
    """A registry gives no token without a login."""


@dataclass(frozen=True, slots=True)
class Pin:
    """A name as it was when the run started first.

    Attributes:
        name: an image with its tag, or the handle of a model.
        digest: the image's digest, or the commit; empty if it is unknown.
        why: the reason why it is unknown.
    """

    name: str
    digest: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Pins:
    """The pins of a run: images by :func:`key_of` and models by their handle."""

    images: Mapping[str, Pin]
    models: Mapping[str, Pin]

    def to_json(self) -> str:
        """Serialise them for the run."""
        return sealed(asdict(self))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Pins:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: it is damaged.
        """
        return build(cls, without_seal(data))


NONE = Pins({}, {})


def key_of(user: str | None, default: str) -> str:
    """Return the key of an image: the text that the *user* wrote, or whose *default* it is.

    A newer catalogue has another default. The key stays, and so does the pin.
    """
    return user or f"default of {default}"


def resolve_all(names: Iterable[_Name], resolve: Callable[[_Name], Pin]) -> dict[_Name, Pin]:
    """Resolve several names at once."""
    from concurrent.futures import ThreadPoolExecutor

    todo = list(dict.fromkeys(names))
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(todo, pool.map(resolve, todo), strict=True))


# --- images --------------------------------------------------------------------------------------


def resolve_image(image: str, local: Callable[[str], str | None] = lambda image: None) -> Pin:
    """Return the pin of *image*: from its name, from this machine, or from its registry.

    *local* returns the digest of an image on this machine: empty if it was built or loaded here,
    None if the image is not here.
    """
    if match := _DIGEST.search(image.rpartition("@")[2] if "@" in image else ""):
        return Pin(image, match[0])
    if image.startswith(("/", "./", "~")) or image.endswith((".sif", ".sqsh")):
        return Pin(image, why="a file has no registry")
    here = local(image)
    if here is not None:
        return Pin(image, here, "" if here else "it was built or loaded on this machine")
    try:
        return Pin(image, _of_registry(image))
    except (OSError, ValueError) as error:
        return Pin(image, why=f"its registry gave no digest ({_short(error)})")


def pinned_name(image: str, digest: str) -> str:
    """Return the name by which a runtime starts exactly the pinned image."""
    if not digest or "@" in image:
        return image
    repository, colon, tag = image.rpartition(":")
    return f"{repository if colon and '/' not in tag else image}@{digest}"


def why_not_pulled(image: str) -> tuple[str, str]:
    """Return why the registry does not hand out *image*, and what to do; empty if it does."""
    from urllib.error import HTTPError

    registry = _parts(image)[0]
    known = registry if registry != _DOCKER_HUB else "Docker Hub"
    login = f"docker login {registry}" if registry != _DOCKER_HUB else "docker login"
    try:
        _of_registry(image)
    except HTTPError as error:
        if error.code in (401, 403):
            return f"{known} requires a login for {image}", login
        if error.code == 404:
            return f"{known} has no image {image}", "correct its name or tag"
        return f"{known} answers HTTP {error.code} for {image}", "try again"
    except _LoginError:
        return f"{known} requires a login for {image}", login
    except (OSError, ValueError) as error:
        return f"{known} gave no answer for {image} ({_short(error)})", "check the network"
    return "", ""


def _of_registry(image: str) -> str:
    """Return the digest of *image* at its registry (the OCI distribution specification)."""
    from urllib.error import HTTPError

    registry, repository, tag = _parts(image)
    scheme = "http" if re.match(r"(localhost|127\.)", registry) else "https"
    url = f"{scheme}://{registry}/v2/{repository}/manifests/{tag}"
    credentials = _credentials(registry)
    headers = {"Accept": ", ".join(_MANIFESTS)}
    try:
        found = _head(url, headers | _basic(credentials))
    except HTTPError as error:
        if error.code != 401:
            raise
        challenge = error.headers.get("WWW-Authenticate") or ""
        token = _token(challenge, credentials)
        found = _head(url, headers | {"Authorization": f"Bearer {token}"})
    if not _DIGEST.fullmatch(found):
        raise ValueError("an answer without a digest")
    return found


def _parts(image: str) -> tuple[str, str, str]:
    """Return registry, repository and tag, with Docker's defaults."""
    image, _, digest = image.partition("@")
    name, colon, tag = image.rpartition(":")
    if not colon or "/" in tag:
        name, tag = image, "latest"
    tag = digest or tag
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, rest, tag
    return _DOCKER_HUB, name if slash else f"library/{name}", tag


def _head(url: str, headers: Mapping[str, str]) -> str:
    from urllib.request import Request, urlopen

    request = Request(url, headers=dict(headers), method="HEAD")
    with urlopen(request, timeout=_TIMEOUT) as answer:
        return str(answer.headers.get("Docker-Content-Digest") or "")


def _token(challenge: str, credentials: str) -> str:
    """Return the token for which a registry's challenge asks."""
    from urllib.parse import urlencode

    facts = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = facts.pop("realm", "")
    if not challenge.startswith("Bearer ") or not realm.startswith("https://"):
        raise _LoginError("it requires a login")
    query = urlencode({k: facts[k] for k in ("service", "scope") if k in facts})
    answer = _json(f"{realm}?{query}", _basic(credentials))
    return str(answer.get("token") or answer["access_token"])


def _json(url: str, headers: Mapping[str, str]) -> dict[str, Any]:
    from urllib.request import Request, urlopen

    request = Request(url, headers=dict(headers))
    with urlopen(request, timeout=_TIMEOUT) as answer:
        return json_object(answer.read())


def _basic(credentials: str) -> dict[str, str]:
    return {"Authorization": f"Basic {credentials}"} if credentials else {}


def _credentials(registry: str) -> str:
    """Return what ``docker login`` keeps for *registry*, also in its helpers."""
    from docker import auth

    found = auth.load_config().resolve_authconfig(None if registry == _DOCKER_HUB else registry)
    name, secret = ((found or {}).get(key) or "" for key in ("username", "password"))
    return base64.b64encode(f"{name}:{secret}".encode()).decode() if name else ""


# --- models on a hub -----------------------------------------------------------------------------


def resolve_model(handle: str) -> Pin:
    """Return the pin of a model on the hub: the commit of its main branch.

    Without the hub, it is the commit that the cache of weights has, which the server would take.
    """
    repository = handle.partition(":")[0]
    hub = os.environ.get("HF_ENDPOINT") or _HUB
    token = os.environ.get("HF_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    why = "HF_HUB_OFFLINE is set"
    if os.environ.get("HF_HUB_OFFLINE", "0") in ("", "0"):
        try:
            found = _json(f"{hub.rstrip('/')}/api/models/{repository}/revision/main", headers)
            return Pin(handle, str(found["sha"]))
        except (OSError, ValueError, KeyError) as error:
            why = f"the hub gave no commit ({_short(error)})"
    if commit := _cached_commit(repository):
        return Pin(handle, commit)
    return Pin(handle, why=why)


def _cached_commit(repository: str) -> str:
    cache = Path(os.environ.get("HF_HOME") or home() / "cache" / "huggingface")
    reference = cache / "hub" / f"models--{repository.replace('/', '--')}" / "refs" / "main"
    try:
        return reference.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _short(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return " ".join(str(reason).split())[:120]
