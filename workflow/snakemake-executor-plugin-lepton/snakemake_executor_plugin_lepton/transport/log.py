"""Transports files as text in the job's log: no set-up, but only for small files.

If a job's files are too many, and the job says which ones count, these come back first, and the
others as they fit.

Each line is ``@@smk <key> <number> <base64>``. The last line has the receipt and the line count.
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

from snakemake_executor_plugin_lepton.errors import TaskError, TransportError
from snakemake_executor_plugin_lepton.options import Choice
from snakemake_executor_plugin_lepton.receipt import Receipt
from snakemake_executor_plugin_lepton.service import Service
from snakemake_executor_plugin_lepton.transport import Place, Shipment

MARK = "@@smk"
#: Linux limits an environment variable to 128 KiB.
_CHUNK = 96 * 1024
_INPUT_CAP = 512 * 1024
#: A single write of a line this long is never mixed with other processes' lines (PIPE_BUF).
_WIDTH = 3000

_FETCH = """\
: >"$box/in.b64"
n=0
while [ "$n" -lt @chunks@ ]; do
    eval "printf %s \\"\\$SNAKEMAKE_FILES_$n\\"" >>"$box/in.b64"
    eval "unset SNAKEMAKE_FILES_$n"
    n=$((n + 1))
done
if ! base64 -d "$box/in.b64" | tar -C / -xzf -; then
    say "cannot unpack the input files"; unpacked=0
fi
"""

# The arguments are the outputs. Files packed one by one take more room than in one archive.
_CHOOSE = """\
if [ "$size" -gt @cap@ ]; then
    (cd / && find "$@" -type f) | while IFS= read -r file; do
        rank=1
        case "$file" in @first@) rank=0;; esac
        case "$file" in @never@) rank=2; [ "$code" = 0 ] && continue;; esac
        echo "$rank $(($(gzip -c <"/$file" | wc -c) + 200)) $file"
    done | sort -n -k 1,1 -k 2,2 >"$box/files"
    set --; used=0; left=0; lacking=0
    while read -r rank packed file; do
        if [ $((used + packed)) -le @cap@ ]; then used=$((used + packed)); set -- "$@" "$file"
        else left=$((left + 1)); [ "$rank" = 0 ] && lacking=1; fi
    done <"$box/files"
    if [ "$lacking" = 0 ] && [ $# -gt 0 ] && tar -C / -czf "$box/out.tgz" "$@"; then
        size=$(($(wc -c <"$box/out.tgz")))
        sum=$(sha256sum <"$box/out.tgz") && sum=${sum%% *}
        say "$left of $((left + $#)) files stay behind, because a log takes @cap@ bytes packed"
        receipt="exit=$code seconds=$seconds size=$size sha256=$sum left=$left"
    fi
fi
"""

_SEND = """\
lines=0
if [ "$size" -gt @cap@ ]; then
    say "its files have $size bytes packed, and a log takes @cap@: use --lepton-s3-prefix"
    code=1
elif [ "$size" -gt 0 ]; then
    base64 "$box/out.tgz" | tr -d '\\n' | fold -w @width@ >"$box/out.b64"
    echo >>"$box/out.b64"
    while read -r line; do
        lines=$((lines + 1)); echo "@mark@ $lines $line"
    done <"$box/out.b64"
fi
echo "@mark@ end $receipt lines=$lines"
"""


_ALL = Choice()


def _pattern(pattern: str) -> str:
    """Return a pattern for `case`, which matches paths without their leading slash."""
    return re.sub(r"[^A-Za-z0-9_./*?\[\]-]", r"\\\g<0>", pattern.lstrip("/"))


class LogTransport:
    """Transports files by the log, at most *cap* bytes back."""

    def __init__(self, service: Service, cap: int) -> None:
        self._service = service
        self._cap = cap
        self._read: dict[str, str] = {}  #: by key, between receipt() and fetch()

    def check(self) -> None:
        """Do nothing: the log transport requires no set-up."""

    @property
    def limits(self) -> str:
        """The sentence about what does not fit."""
        return (
            f"files return through the jobs' logs, at most {self._cap // 1024} KiB packed for each "
            "job. Of more files, those with scores return first, the others as they fit, and no "
            "caches. For all files set lepton-s3-prefix or lepton-mount"
        )

    @property
    def input_cap(self) -> int:
        """How many bytes of packed inputs a job can get."""
        return _INPUT_CAP

    def ship(self, key: str, archive: Path | None, choice: Choice = _ALL) -> Shipment:
        """Put the inputs into environment variables."""
        send = _SEND
        if choice.first:
            never = "|".join(map(_pattern, choice.never)) or "''"
            send = _CHOOSE.replace("@first@", "|".join(map(_pattern, choice.first))) + send
            send = send.replace("@never@", never)
        send = send.replace("@cap@", str(self._cap)).replace("@mark@", f"{MARK} {key}")
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
        """Read the last line of the files."""
        lines = self._lines(place)
        end = lines.get("end")
        receipt = Receipt.parse(end) if end else None
        if receipt is None or receipt.size > self._cap:
            return receipt
        wanted = re.search(r"lines=(\d+)", end or "")
        # Use only this number of lines: a preempted job may have sent more of them before.
        numbers = [str(n + 1) for n in range(int(wanted[1]))] if wanted else []
        # The lines may arrive later than the last one.
        if not wanted or any(number not in lines for number in numbers):
            return None
        self._read[place.key] = "".join(lines[number] for number in numbers)
        return receipt

    def fetch(self, place: Place, receipt: Receipt, target: Path) -> None:
        """Join the lines."""
        if receipt.size > self._cap:
            raise TransportError(
                f"its files have {receipt.size} bytes packed, and a log takes {self._cap}: use "
                "--lepton-s3-prefix or --lepton-mount, or a higher --lepton-log-cap",
                passes=False,
            )
        try:
            target.write_bytes(base64.b64decode(self._read.pop(place.key), validate=True))
        except binascii.Error as error:
            raise TransportError(f"the files in the log are damaged: {error}") from None

    def clear(self, key: str) -> None:
        """Do nothing: the service deletes a log with its job."""

    def _lines(self, place: Place) -> dict[str, str]:
        """Map each line's number, or "end", to the rest of the line."""
        mark = f"{MARK} {place.key} "
        # Start an hour early: the clocks of the service and its nodes may differ from this one.
        found = self._service.log(place.job, place.created - 3600 * 10**9, mark.strip())
        result = {}
        for line in found:
            _, marked, rest = line.text.partition(mark)
            number, _, text = rest.partition(" ")
            if marked and (number == "end" or number.isdigit()):
                result[number] = text.strip()
        return result
