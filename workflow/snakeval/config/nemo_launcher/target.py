"""Reads the launcher's ``target`` or ``deployment`` as snakeval's models.

The result has one model for each type of endpoint that the tasks require.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from snakeval.config.endpoints import ROUTES, EndpointType
from snakeval.config.nemo_launcher import lepton, serving
from snakeval.config.nemo_launcher.draft import Draft, fit, says
from snakeval.config.nemo_launcher.where import Where

_TARGET = ("target", "api_endpoint")
_DEPLOYMENT = ("deployment",)


def endpoint_types(draft: Draft) -> list[str]:
    """Return the types of endpoint that the model may have: all, unless the file restricts them."""
    every = [kind.value for kind in EndpointType]
    if _served(draft) != "none":
        return every
    endpoint = draft.section(*_TARGET)
    if endpoint.get("type"):
        return [str(endpoint["type"])]
    url = str(endpoint.get("url")).partition("?")[0].rstrip("/")
    # The longest match wins, since chat's route also ends with that of completions.
    ends = sorted((r for r in ROUTES.values() if url.endswith(r)), key=len)
    return [kind.value for kind, route in ROUTES.items() if ends and route == ends[-1]] or every


def read_key(draft: Draft, where: Where) -> None:
    """Give harnesses the variable of ``api_key_name`` if the model is a deployment.

    The launcher does the same. Snakeval's servers require no key.
    """
    key = draft.section(*_TARGET).get("api_key_name")
    if _served(draft) != "none" and says(key):
        where.env["evaluation"].names.setdefault(str(key), str(key))


def read(draft: Draft, where: Where, kinds: Sequence[str]) -> None:
    """Write the models; *kinds* are the types of endpoint that the tasks require."""
    draft.only(("target",), draft.section("target"), {"api_endpoint"})
    served, section = _served(draft), draft.section(*_DEPLOYMENT)
    if served != "none":
        _deployment(draft, where, kinds, section)
        return
    if says({name: value for name, value in section.items() if name != "type"}):
        draft.note(_DEPLOYMENT, "has no effect, since its type is none")
    if _target(draft) or not draft.data.get("models"):
        _endpoint(draft, where, kinds)


def _served(draft: Draft) -> str:
    return str(draft.section(*_DEPLOYMENT).get("type") or "none")


def _target(draft: Draft) -> dict[str, Any]:
    """Return ``target.api_endpoint`` without ``adapter_config``, which :mod:`.tasks` reads."""
    endpoint = draft.section(*_TARGET)
    endpoint.pop("adapter_config", None)
    return endpoint


def _endpoint(draft: Draft, where: Where, kinds: Sequence[str]) -> None:
    endpoint = _target(draft)
    draft.only(_TARGET, endpoint, {"url", "model_id", "type", "api_key_name"})
    missing = [name for name in ("url", "model_id") if not endpoint.get(name)]
    for name in missing:
        draft.refuse((*_TARGET, name), "is missing; add it")
    if missing:
        return
    if where.profile == "lepton" and (key := str(endpoint.get("api_key_name") or "")):
        # A job's variable has a secret of the workspace, perhaps by another name.
        endpoint["api_key_name"] = where.env["evaluation"].names.pop(key, key)
    for name, kind in _named(draft, str(endpoint["model_id"]), kinds or endpoint_types(draft)[:1]):
        place = ("models", name, "endpoint")
        for part in ("url", "model_id", "api_key_name"):
            if endpoint.get(part) is not None:
                draft.put((*place, part), endpoint[part], (*_TARGET, part))
        if kind != EndpointType.CHAT:
            draft.put((*place, "type"), kind, (*_TARGET, "type" if "type" in endpoint else "url"))


def _named(draft: Draft, wanted: str, kinds: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield a model's name and type for each type of endpoint."""
    beside = draft.section("models")
    for position, kind in enumerate(kinds):
        name = f"{fit(wanted)[:50]}-{kind}" if position else fit(wanted)
        if name in beside:
            draft.refuse(
                ("models", name), "has the name of the model of `target` or `deployment`; rename it"
            )
        else:
            yield name, kind


def _deployment(draft: Draft, where: Where, kinds: Sequence[str], section: dict[str, Any]) -> None:
    for name, value in _target(draft).items():
        same = (name, value) == ("model_id", section.get("served_model_name"))
        if says(value) and not same and name != "api_key_name":
            draft.refuse(
                (*_TARGET, name), "belongs to an endpoint, but the model is a deployment; remove it"
            )
    server = serving.Server(
        key=_DEPLOYMENT,
        section=section,
        more=frozenset(),
        variables=where.env["deployment"],
        mounts=(where.mounts["deployment"], ("execution", "mounts", "deployment")),
        placed=where.serving,
    )
    values = serving.read(draft, where, server)
    if values is None:
        return
    values |= lepton.endpoint(draft, section.get("lepton_config"), (*_DEPLOYMENT, "lepton_config"))
    if where.lepton:
        own, said = values.get("lepton", ({}, ("execution", "lepton_platform", "deployment")))
        values["lepton"] = (where.lepton | own, said)
    for model, kind in _named(draft, serving.name_of(section), kinds or [EndpointType.CHAT.value]):
        place = ("models", model, "deployment")
        for name, (value, said) in values.items():
            draft.put((*place, name), value, said)
        if kind != EndpointType.CHAT:
            draft.put((*place, "type"), kind, ("evaluation", "tasks"))
