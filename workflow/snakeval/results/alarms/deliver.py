"""Delivers alarms: to the standard input of a command, or to a webhook such as Slack's.

No message has the URL of a webhook, which is a secret.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from snakeval import __version__
from snakeval.ledger.plain_text import visible

#: How long a command may take, and each request.
COMMAND_SECONDS, REQUEST_SECONDS = 60.0, 10.0
#: The pauses before further tries of a request that may succeed later.
PAUSES = (1.0, 3.0)
#: The most characters of a command's last line of errors in a message.
_SHOWN = 200


class DeliveryError(Exception):
    """An alarm was not delivered; its text says why."""


@dataclass(slots=True)
class Pauses:
    """The targets that failed, and when each is tried again by *clock*.

    Attributes:
        first, longest: the pause after the first failure of a target, in seconds, and the longest
            one. Each further pause is twice as long.
    """

    clock: Callable[[], float] = time.monotonic
    first: float = 60.0
    longest: float = 3600.0
    _failed: dict[object, tuple[float, float]] = field(default_factory=dict)

    def waits(self, target: object) -> bool:
        """Whether a target is not tried now."""
        return target in self._failed and self.clock() < self._failed[target][0]

    def failed(self, target: object) -> bool:
        """Note a failure; return whether it is the first since the target worked."""
        before = self._failed.get(target)
        pause = min(2 * before[1], self.longest) if before else self.first
        self._failed[target] = self.clock() + pause, pause
        return before is None

    def worked(self, target: object) -> bool:
        """Note a success; return whether the target had failed before."""
        return self._failed.pop(target, None) is not None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Lets a redirection fail: a POST would become a GET, at an address that is not configured."""

    def redirect_request(self, *unused: Any, **unused_names: Any) -> None:
        """Return no request."""


def by_command(
    command: str | Sequence[str], alarm: Mapping[str, Any], seconds: float = COMMAND_SECONDS
) -> None:
    """Run a command with the alarm on its standard input; a text runs in a shell.

    Raises:
        DeliveryError: it cannot start, fails, or takes too long.
    """
    is_text = isinstance(command, str)
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                command if is_text else [*command],
                shell=is_text,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise DeliveryError(f"the command cannot start ({why})") from None
        try:
            process.communicate(json.dumps(alarm).encode(), timeout=seconds)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise DeliveryError(f"the command took more than {seconds:.0f} s") from None
        if process.returncode:
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - 4096))
            lines = errors.read().decode(errors="replace").split("\n")
            last = next((line.strip() for line in reversed(lines) if line.strip()), "")
            shown = f": {visible(last, '')[:_SHOWN]}" if last else ""
            raise DeliveryError(f"the command ended with {process.returncode}{shown}")


def by_webhook(
    variable: str,
    alarm: Mapping[str, Any],
    *,
    environment: Mapping[str, str] = os.environ,
    seconds: float = REQUEST_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Post the alarm to the URL in a variable. ``text`` is what Slack shows.

    A request that may succeed later is tried again, after each of :data:`PAUSES`.

    Raises:
        DeliveryError: no request succeeded.
    """
    url = environment.get(variable, "").strip()
    if not url:
        raise DeliveryError(f"${variable} is not set")
    if not url.startswith(("http://", "https://")):
        raise DeliveryError(f"${variable} is no http or https URL")
    for pause in (*PAUSES, None):
        why, is_passing = _posted(url, alarm, seconds)
        if not why:
            return
        if not is_passing or pause is None:
            raise DeliveryError(f"the webhook of ${variable} {why}")
        sleep(pause)


def _posted(url: str, alarm: Mapping[str, Any], seconds: float) -> tuple[str, bool]:
    """Post once; return the problem, if any, and whether it may pass."""
    headers = {"Content-Type": "application/json", "User-Agent": f"snakeval/{__version__}"}
    try:
        request = urllib.request.Request(url, json.dumps(alarm).encode(), headers, method="POST")
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=seconds):
            return "", False
    except urllib.error.HTTPError as error:
        error.close()
        return f"answers {error.code}", error.code >= 500 or error.code in (408, 425, 429)
    except urllib.error.URLError as error:
        why = error.reason
        return f"does not answer ({getattr(why, 'strerror', None) or type(why).__name__})", True
    except (OSError, http.client.HTTPException) as error:
        # The text of an error may have the URL; its class has not.
        return f"does not answer ({type(error).__name__})", not isinstance(
            error, http.client.InvalidURL
        )
    except ValueError:
        return "has a URL that cannot be read", False
