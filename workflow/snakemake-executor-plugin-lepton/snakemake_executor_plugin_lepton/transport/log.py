"""Files by way of the job's log, as text: nothing to set up, and only for small ones.

Each line is ``@@smk <key> <number> <base64>``; a last one has the receipt and the number of lines.
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

from snakemake_executor_plugin_lepton.errors import TaskError, TransportError
from snakemake_executor_plugin_lepton.receipt import Receipt
from snakemake_executor_plugin_lepton.service import Service
from snakemake_executor_plugin_lepton.transport import Place, Shipment

MARK = "@@smk"
#: Linux takes no longer environment variable than 128 KiB.
_CHUNK = 96 * 1024
_INPUT_CAP = 512 * 1024
#: One write of a line this long stays whole between the lines of other processes (PIPE_BUF).
_WIDTH = 3000

_FETCH = """\
: >"$box/in.b64"
n=0
while [ "$n" -lt @chunks@ ]; do
    eval "printf %s \\"\\$SNAKEMAKE_FILES_$n\\"" >>"$box/in.b64"
    eval "unset SNAKEMAKE_FILES_$n"
    n=$((n + 1))
done
if ! base64 -d "$box/in.b64" | tar -C / -xzf -; then say "cannot unpack the input files"; exit 1; fi
"""

_SEND = """\
lines=0
if [ "$size" -gt @cap@ ]; then
    say "its files have $size bytes packed, and a log takes @cap@: use --lepton-s3-prefix"
    code=1; receipt="exit=1 seconds=$seconds size=$size sha256=$sum"
elif [ "$size" -gt 0 ]; then
    base64 "$box/out.tgz" | tr -d '\\n' | fold -w @width@ >"$box/out.b64"
    echo >>"$box/out.b64"
    while read -r line; do
        lines=$((lines + 1)); echo "@mark@ $lines $line"
    done <"$box/out.b64"
fi
echo "@mark@ end $receipt lines=$lines"
"""


class LogTransport:
    """Files by way of the log, at most *cap* bytes back."""

    def __init__(self, service: Service, cap: int) -> None:
        self._service = service
        self._cap = cap
        self._read: dict[str, str] = {}  #: by key, between receipt() and fetch()

    def check(self) -> None:
        """Nothing needs to be there."""

    def ship(self, key: str, archive: Path | None) -> Shipment:
        """Put the inputs into environment variables."""
        mark = f"{MARK} {key}"
        send = _SEND.replace("@cap@", str(self._cap)).replace("@mark@", mark)
        send = send.replace("@width@", str(_WIDTH))
        if archive is None:
            return Shipment("", send)
        if archive.stat().st_size > _INPUT_CAP:
            raise TaskError(
                f"its input files have {archive.stat().st_size} bytes packed, and the log's way "
                f"takes {_INPUT_CAP}: use --lepton-s3-prefix or --lepton-mount"
            )
        text = base64.b64encode(archive.read_bytes()).decode()
        chunks = [text[i : i + _CHUNK] for i in range(0, len(text), _CHUNK)]
        env = {f"SNAKEMAKE_FILES_{n}": chunk for n, chunk in enumerate(chunks)}
        return Shipment(_FETCH.replace("@chunks@", str(len(chunks))), send, env)

    def receipt(self, place: Place) -> Receipt | None:
        """Read the last line."""
        lines = self._lines(place)
        end = lines.get("end")
        receipt = Receipt.parse(end) if end else None
        if receipt is None or receipt.size > self._cap:
            return receipt
        wanted = re.search(r"lines=(\d+)", end or "")
        # Not all there are: a job that was preempted while it sent them may have had more.
        numbers = [str(n + 1) for n in range(int(wanted[1]))] if wanted else []
        # They may arrive later than the last one.
        if not wanted or any(number not in lines for number in numbers):
            return None
        self._read[place.key] = "".join(lines[number] for number in numbers)
        return receipt

    def fetch(self, place: Place, receipt: Receipt, target: Path) -> None:
        """Put the lines together."""
        if receipt.size > self._cap:
            raise TransportError(
                f"its files have {receipt.size} bytes packed, and a log takes {self._cap}: use "
                "--lepton-s3-prefix or --lepton-mount, or a higher --lepton-log-cap"
            )
        try:
            target.write_bytes(base64.b64decode(self._read.pop(place.key), validate=True))
        except binascii.Error as error:
            raise TransportError(f"the files in the log are damaged: {error}") from None

    def clear(self, key: str) -> None:
        """Logs go with their job."""

    def _lines(self, place: Place) -> dict[str, str]:
        """Return number or "end" -> rest of the line."""
        mark = f"{MARK} {place.key} "
        # An hour earlier: the clocks of the service and of its nodes are not this one's.
        found = self._service.log(place.job, place.created - 3600 * 10**9, mark.strip())
        result = {}
        for line in found:
            _, marked, rest = line.text.partition(mark)
            number, _, text = rest.partition(" ")
            if marked and (number == "end" or number.isdigit()):
                result[number] = text.strip()
        return result
