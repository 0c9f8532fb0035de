"""Defines the shell wrapper that ends every container together with its owner."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

#: Starts a harness with secrets. It reads ``export NAME='value'`` lines from standard input, so no
#: container definition, command line or file has a value. Then it becomes the harness (exec), which
#: receives the signals.
READ_SECRETS = 'eval "$(cat)"; exec "$@" </dev/null'


#: The line that ends the secrets; after it, standard input is the container's lifeline.
_GO = "#snakeval: go"


#: Starts a harness for an owner that waits for it. It reads secrets as :data:`READ_SECRETS` does,
#: but only up to a mark, and keeps standard input open. The end of standard input means that the
#: owner is gone, perhaps killed. The whole process group then gets SIGTERM, and SIGKILL after
#: ``$1`` seconds, so no container outlives its owner. Processes that left the group have a variable
#: of this start in their environment. They get SIGKILL, since their reaper may be gone as well.
#: It requires only ``sh`` and ``sleep``; without ``grep`` it does not find processes that left.
LIFELINE = f"""
text=
while IFS= read -r line && [ "$line" != '{_GO}' ]; do text="$text$line
"; done
eval "$text"
unset text line
exec 3<&0 </dev/null
grace=$1
shift
unset SNAKEVAL_LIFELINE
{{ read -r SNAKEVAL_LIFELINE </proc/sys/kernel/random/uuid; }} 2>/dev/null
[ -z "$SNAKEVAL_LIFELINE" ] || export SNAKEVAL_LIFELINE
marked() {{
  if grep -qF "SNAKEVAL_LIFELINE=$SNAKEVAL_LIFELINE" /proc/self/environ; then
    grep -lsF "SNAKEVAL_LIFELINE=$SNAKEVAL_LIFELINE" /proc/[0-9]*/environ
  else  # the grep of BusyBox reads a line only up to its first NUL
    for place in /proc/[0-9]*/environ; do
      tr '\\0' '\\n' <"$place" | grep -qxF "SNAKEVAL_LIFELINE=$SNAKEVAL_LIFELINE" &&
        echo "$place"
    done
  fi
}} 2>/dev/null
sweep() {{
  [ -n "$SNAKEVAL_LIFELINE" ] && read -r self rest </proc/self/stat || return
  for round in 1 2 3 4 5 6 7 8 9; do  # one of them may start another one
    again=
    for place in $(marked); do
      place=${{place%/environ}}
      [ "${{place#/proc/}}" != "$self" ] && kill -KILL "${{place#/proc/}}" && again=yes
    done
    [ -n "$again" ] || return
  done
}} 2>/dev/null
"$@" 3<&- &
harness=$!
trap 'trap "" TERM INT; stopped=yes; kill -TERM 0' TERM INT
trap 'trap "" TERM INT; stopped=yes; gone=yes; kill -TERM 0' USR1
(
  trap "" TERM INT
  while read -r line; do :; done <&3
  kill -USR1 $$
  sleep "$grace" >/dev/null 2>&1 3<&-  # it may outlive the harness, whose output ends all the same
  sweep
  kill -KILL 0
) &
watch=$!
before=
gone=
while :; do  # a signal ends `wait`, not the harness, and `wait` returns a status only once
  stopped=
  wait "$harness"
  code=$?
  [ "$code" = 127 ] && code=${{before:-127}}
  [ -n "$stopped" ] || break
  before=$code
done
kill -KILL "$watch"
[ -z "$gone" ] || sweep
exit "$code"
"""


#: The input of :data:`LIFELINE` for a command without variables.
GO = f"{_GO}\n".encode()


def guarded(command: Sequence[str], grace: float) -> tuple[str, ...]:
    """Return *command* with its :data:`LIFELINE`; *grace* is in seconds."""
    return ("sh", "-c", LIFELINE, "snakeval", str(grace), *command)


def exports(values: Mapping[str, str]) -> str:
    """Return the shell text that :data:`READ_SECRETS` reads, with each value quoted as data."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
