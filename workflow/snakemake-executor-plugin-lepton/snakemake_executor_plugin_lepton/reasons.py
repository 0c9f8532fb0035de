"""Kubernetes' reasons why a container never starts, with a text for each.

The only table of them: snakeval also reads it for its endpoints.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

_IMAGE = "its image cannot be pulled"
_CONTAINER = "its container cannot start (a secret or a volume is missing)"
_EITHER = "its image cannot be pulled, or its container cannot be created"
_VOLUME = "a volume cannot be mounted"
#: Reasons that never pass without help, in two vocabularies: why a container waits, and the events
#: of the kubelet, which are coarser. The service has them in its events.
HOPELESS = {
    "InvalidImageName": "the name of its image is not valid",
    "InspectFailed": "the name of its image is not valid",
    "ImageInspectError": _IMAGE,
    "ErrImagePull": _IMAGE,
    "ErrImageNeverPull": _IMAGE,
    "ImagePullBackOff": _IMAGE,
    "RegistryUnavailable": _IMAGE,
    "CreateContainerConfigError": _CONTAINER,
    "CreateContainerError": _CONTAINER,
    "Failed": _EITHER,
    # A container of a job that has run does not run again, so this one was never created.
    "BackOff": _EITHER,
    "FailedMount": _VOLUME,
    "FailedAttachVolume": _VOLUME,
    "ConfigError": "its definition cannot be run",
}
_COARSE = ("Failed", "BackOff")
#: A single failed pull may be a short problem of the registry.
ENOUGH = 3


def worst(
    counts: Mapping[str, int], *, enough: int = ENOUGH, passing: Collection[str] = ()
) -> str | None:
    """Return the reason that explains best why a container never starts, or None.

    *counts* has how often each reason was warned of. At least *enough* warnings decide. Reasons in
    *passing* may pass and do not count.
    """
    known = {name: n for name, n in counts.items() if name in HOPELESS and name not in passing}
    if not known or sum(known.values()) < enough:
        return None
    # The finer vocabulary says more, if there is a choice.
    return max(known, key=lambda name: (name not in _COARSE, known[name]))
