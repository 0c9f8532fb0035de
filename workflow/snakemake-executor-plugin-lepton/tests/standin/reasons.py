"""Kubernetes' two vocabularies of why a container does not start."""

from __future__ import annotations

#: Why a container waits -> the events that the kubelet writes meanwhile.
KUBELET = {
    "ErrImagePull": ("Failed", "BackOff"),
    "ImagePullBackOff": ("Failed", "BackOff"),
    "InvalidImageName": ("InspectFailed", "Failed"),
    "CreateContainerConfigError": ("Failed",),
    "RunContainerError": ("Failed",),
}


def reasons(reason: str, vocabulary: str) -> tuple[str, ...]:
    """Return the events of a container's reason, in the vocabulary `container` or `kubelet`."""
    return KUBELET.get(reason, (reason,)) if vocabulary == "kubelet" else (reason,)
