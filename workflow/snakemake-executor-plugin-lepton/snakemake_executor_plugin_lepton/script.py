"""Writes the shell script that a job runs around its command. It needs a POSIX shell, tar and gzip.

The script fetches the files, runs the command for at most its time, and sends the files back. It
also sends them after a failure. The receipt has the result, so half a result never looks complete.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import PurePosixPath

#: The exit code of a command that exceeded its time.
TIMED_OUT = 124

_HEAD = """\
set -u
say() { echo "snakemake: $*"; }
box=@box@; work=@work@
rm -rf "$box" "$work"; mkdir -p "$box" "$work" || exit 1
cd "$work" || exit 1
unpacked=1
"""

_RUN = """\
# Runs the command as Snakemake does: in strict mode, and in bash if there is one.
cat >"$box/command" <<'SNAKEMAKE_END_OF_COMMAND'
@command@
SNAKEMAKE_END_OF_COMMAND
if command -v bash >/dev/null 2>&1; then set -- bash -euo pipefail "$box/command"
elif (set -o pipefail) 2>/dev/null; then set -- sh -eu -o pipefail "$box/command"
else set -- sh -eu "$box/command"; fi
limit=@limit@
# The user of some images may not write to the paths of the inputs. The receipt also reports that.
[ "$unpacked" = 1 ] || set -- sh -c 'exit 1'
if [ "$limit" -gt 0 ]; then
    if command -v timeout >/dev/null 2>&1; then set -- timeout -k 30 "$limit" "$@"
    else say "this image has no timeout: its time is watched from outside only"; fi
fi
started=$(date +%s)
"$@" &
child=$!
# If the job is stopped, the command also receives the signal, and its files are still sent.
trap 'stopped=1; kill -TERM "$child" 2>/dev/null' TERM INT
stopped=0; wait "$child"; code=$?
while [ "$stopped" = 1 ] && kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
trap '' TERM INT
seconds=$(($(date +%s) - started))
# Not every timeout command uses exit code 124.
if [ "$limit" -gt 0 ] && [ "$seconds" -ge "$limit" ] && [ "$code" -gt 124 ]; then code=124; fi
"""

_SEND = """\
set --
for path in @outputs@; do
    if [ -e "/$path" ] || [ -L "/$path" ]; then set -- "$@" "$path"; fi
done
size=0; sum=-
if [ $# -gt 0 ]; then
    if tar -C / -czf "$box/out.tgz" "$@"; then
        size=$(($(wc -c <"$box/out.tgz")))
        sum=$(sha256sum <"$box/out.tgz") && sum=${sum%% *}
    else say "cannot pack the files to send back"; [ "$code" = 0 ] && code=1; fi
fi
receipt="exit=$code seconds=$seconds size=$size sha256=$sum"
"""

_TAIL = """\
rm -rf "$box" "$work"
exit "$code"
"""


def render(
    *,
    command: str,
    work: PurePosixPath,
    box: PurePosixPath,
    fetch: str,
    send: str,
    outputs: Iterable[PurePosixPath],
    runtime: int | None,
) -> str:
    """Return the script.

    Args:
        command: the rule's command.
        work: its working directory, which the script empties.
        box: a directory for the script's own files.
        fetch: shell text that unpacks the inputs below ``/``; empty if there are none.
        send: shell text that sends ``$box/out.tgz`` (if ``$size`` is not 0), then ``$receipt``.
        outputs: absolute paths to send back, if they exist.
        runtime: seconds that the command may take.
    """
    outputs = tuple(outputs)
    parents = sorted({str(path.parent) for path in outputs})
    makes = "mkdir -p " + " ".join(map(shlex.quote, parents)) + "\n" if parents else ""
    paths = " ".join(shlex.quote(str(path).lstrip("/")) for path in outputs)
    head = _HEAD.replace("@box@", shlex.quote(str(box))).replace("@work@", shlex.quote(str(work)))
    run = _RUN.replace("@limit@", str(runtime or 0)).replace("@command@", command)
    return head + fetch + makes + run + _SEND.replace("@outputs@", paths) + send + _TAIL
