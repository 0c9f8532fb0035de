"""Transports files to a job and back. Each transport is a module; :func:`choose` selects one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from snakemake_executor_plugin_lepton.errors import TransportError
from snakemake_executor_plugin_lepton.options import Choice, Mount, mounts
from snakemake_executor_plugin_lepton.receipt import Receipt
from snakemake_executor_plugin_lepton.service import Service
from snakemake_executor_plugin_lepton.settings import ExecutorSettings


@dataclass(frozen=True, slots=True)
class Shipment:
    """The shell text and environment with which a job gets its files and sends them."""

    fetch: str  #: shell text that unpacks the inputs below /, or sets unpacked=0
    send: str  #: shell text that sends $box/out.tgz if $size is not 0, then $receipt
    env: dict[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """The place of one attempt's files in transit: *key* for the transport, *job* is its id."""

    key: str
    job: str
    created: int  #: ns since the epoch


class Transport(Protocol):
    """A transport for files."""

    def check(self) -> None:
        """Test the transport before the first job.

        Raises:
            TransportError: the transport does not work.
        """

    @property
    def limits(self) -> str:
        """The sentence about what does not fit, or nothing if all does."""

    @property
    def input_cap(self) -> int:
        """How many bytes of packed inputs a job can get; 0 for any number."""

    def ship(self, key: str, archive: Path | None, choice: Choice = ...) -> Shipment:
        """Send the inputs of the attempt *key* on their way; None if it has no inputs.

        *choice* is of the outputs, if there is no room for all.
        """

    def receipt(self, place: Place) -> Receipt | None:
        """Return the job's receipt, which follows its files, or None if there is none (yet)."""

    def fetch(self, place: Place, receipt: Receipt, target: Path) -> None:
        """Download the archive of a receipt to the file *target*."""

    def clear(self, key: str) -> None:
        """Remove the attempt's remaining files in transit."""


def kind_of(settings: ExecutorSettings) -> str:
    """Return the name of the transport that the settings select."""
    if settings.transport != "auto":
        return settings.transport
    return "s3" if settings.s3_prefix else "mount" if settings.mount else "log"


def told(settings: ExecutorSettings) -> dict[str, str]:
    """Return the variables in which commands on this machine read how files travel."""
    kind = kind_of(settings)
    found = {"LEPTON_TRANSPORT": kind}
    if kind == "mount" and settings.mount and settings.mount_local:
        (mount,) = mounts(settings.mount, "--lepton-mount")
        local = str(Path(settings.mount_local).absolute())
        found |= {"LEPTON_MOUNT": mount.mount_path, "LEPTON_MOUNT_LOCAL": local}
    return found


def choose(settings: ExecutorSettings, service: Service) -> Transport:
    """Return the transport that the settings select.

    Raises:
        TransportError: the settings contradict one another.
    """
    from snakemake_executor_plugin_lepton.transport.log import LogTransport
    from snakemake_executor_plugin_lepton.transport.mount import MountTransport

    kind = kind_of(settings)
    if kind == "log":
        return LogTransport(service, settings.log_cap * 1024)
    if kind == "mount":
        if not settings.mount or not settings.mount_local:
            raise TransportError(
                "The transport mount requires --lepton-mount SOURCE=/path and --lepton-mount-local "
                "DIRECTORY, where this machine has the same volume."
            )
        (mount,) = mounts(settings.mount, "--lepton-mount")
        return MountTransport(mount, Path(settings.mount_local))
    if kind == "s3":
        if not settings.s3_prefix:
            raise TransportError("The transport s3 requires --lepton-s3-prefix s3://BUCKET/PREFIX.")
        # An optional dependency.
        from snakemake_executor_plugin_lepton.transport.s3 import S3Transport

        return S3Transport(settings.s3_prefix, settings.s3_endpoint_url)
    raise TransportError(f"--lepton-transport {kind}: it is one of auto, s3, mount, log.")
