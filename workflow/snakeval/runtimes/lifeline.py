"""The shell wrapper under which every container ends with its owner."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

#: Started in place of the harness where there are secrets: reads ``export NAME='value'`` lines
#: from standard input, so that no value stands in the container's definition, on a command line
#: or in a file, and then becomes the harness (exec), which so gets the signals.
READ_SECRETS = 'eval "$(cat)"; exec "$@" </dev/null'


#: Ends what the container reads of its secrets; from then on standard input is its lifeline.
_GO = "#snakeval: go"


#: Started in place of the harness by whoever waits for it: reads secrets as :data:`READ_SECRETS`
#: does, but only up to a mark, and keeps standard input open. Its end means that the owner is
#: gone, killed perhaps, and then the whole process group gets SIGTERM, and SIGKILL after
#: ``$1`` seconds: nothing runs on for nobody. It needs no tool but ``sh`` (and ``sleep``, to wait).
LIFELINE = f"""
text=
while IFS= read -r line && [ "$line" != '{_GO}' ]; do text="$text$line
"; done
eval "$text"
unset text line
exec 3<&0 </dev/null
grace=$1
shift
"$@" 3<&- &
harness=$!
trap 'trap "" TERM INT; stopped=yes; kill -TERM 0' TERM INT
(
  trap "" TERM INT
  while read -r line; do :; done <&3
  kill -TERM $$
  sleep "$grace"
  kill -KILL 0
) &
watch=$!
before=
while :; do  # a signal ends the waiting, not the harness, and a status is told only once
  stopped=
  wait "$harness"
  code=$?
  [ "$code" = 127 ] && code=${{before:-127}}
  [ -n "$stopped" ] || break
  before=$code
done
kill -KILL "$watch"
exit "$code"
"""


def exports(values: Mapping[str, str]) -> str:
    """The shell text that :data:`READ_SECRETS` reads. Quoted: nothing in a value runs."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
