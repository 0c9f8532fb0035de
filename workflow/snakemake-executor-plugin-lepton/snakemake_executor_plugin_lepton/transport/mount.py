"""Transports files by a volume that both the jobs and this machine have mounted."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from snakemake_executor_plugin_lepton.errors import TransportError
from snakemake_executor_plugin_lepton.options import Mount
from snakemake_executor_plugin_lepton.receipt import Receipt
from snakemake_executor_plugin_lepton.transport import Place, Shipment

_FETCH = """\
if ! tar -C / -xzf @place@/in.tgz; then say "cannot read the input files in @place@"; unpacked=0
fi
"""

# Write under other names first, so that a file with the final name is complete.
_SEND = """\
mkdir -p @place@ && cd / &&
if [ "$size" -gt 0 ]; then cp "$box/out.tgz" @place@/out.part && mv @place@/out.part @place@/out.tgz
fi && echo "$receipt" >@place@/receipt.part && mv @place@/receipt.part @place@/receipt ||
    { say "cannot write the files to @place@"; code=1; }
"""


class MountTransport:
    """Transports files by a volume: *mount* in jobs, *local* on this machine."""

    def __init__(self, mount: Mount, local: Path) -> None:
        self._mount = mount
        self._local = local

    def check(self) -> None:
        """Try to write to the local directory."""
        if not self._local.is_dir():
            raise TransportError(
                f"--lepton-mount-local {self._local} is no directory: mount the volume "
                f"{self._mount.source} there."
            )
        try:
            with tempfile.NamedTemporaryFile(dir=self._local):
                pass
        except OSError as error:
            raise TransportError(f"{self._local} cannot be written: {error.strerror}.") from None

    limits = ""
    input_cap = 0

    def ship(self, key: str, archive: Path | None, choice: object = None) -> Shipment:
        """Copy the inputs to the volume."""
        self.clear(key)
        place = self._local / key
        place.mkdir(parents=True)
        # Jobs may run as another user.
        place.chmod(0o777)
        if archive is not None:
            shutil.copyfile(archive, place / "in.tgz")
        there = f"{self._mount.mount_path}/{key}"
        return Shipment(
            _FETCH.replace("@place@", there) if archive is not None else "",
            _SEND.replace("@place@", there),
            mounts=(self._mount,),
        )

    def receipt(self, place: Place) -> Receipt | None:
        """Read the receipt, which the job writes last."""
        try:
            return Receipt.parse((self._local / place.key / "receipt").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def fetch(self, place: Place, receipt: Receipt, target: Path) -> None:
        """Copy the archive from the volume."""
        try:
            shutil.copyfile(self._local / place.key / "out.tgz", target)
        except OSError as error:
            raise TransportError(f"cannot read what the job sent: {error}") from None

    def clear(self, key: str) -> None:
        """Remove the directory of the attempt."""
        shutil.rmtree(self._local / key, ignore_errors=True)
