"""Runs a command beside a gateway where no snakeval is: ``python3 ledger.pyz CONFIG COMMAND …``.

CONFIG is a JSON file that holds no key::

    {"directory": "…/requests", "mode": "on", "grace": 15, "says": ["…"],
     "upstreams": {"model": {"url": "https://…", "key_from": "API_KEY", …}},
     "urls": {"model": "http://127.0.0.1:1/gateway/model"}, "tokens": ["API_KEY"],
     "env": {"NAME": "…"}, "drafts": "…/drafts", "files": "…/inputs", "results": "…/results"}

*upstreams* are those of :mod:`snakeval.ledger.__main__`, and *key_from* names the variable that has
the key. The command gets a token in the variables *tokens*, and *env*. In the command, in *env* and
in the texts of *drafts*, which are copied to *files*, the gateway's URLs take the place of *urls*.
If the gateway dies, the command ends, *results* becomes empty, and the command runs again.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snakeval.ledger import beside

#: How often the command runs again in a row because its gateway ended.
_DEATHS = 2
#: The exit code if the gateway cannot start, or ended too often.
_FAILED = 1


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code, or 1 without a gateway."""
    config = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    for line in config.get("says") or ():
        say(line)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    wrapped = Around(config, arguments[1:], dict(os.environ), stop)
    try:
        for _ in range(_DEATHS + 1):
            code = wrapped.run()
            if stop.is_set() or not wrapped.why_dead:
                return code
            say(f"{wrapped.why_dead}; its results do not count")
            empty(Path(config["results"]))
    except beside.NotStarted as error:
        say(f"the ledger's gateway does not start: {error}")
        return _FAILED
    say(f"its gateway ended {_DEATHS + 1} times in a row")
    return _FAILED


class Around:
    """A command that asks its models through a gateway.

    Args:
        config: as the module describes it.
        command: the words of the command.
        environ: the variables, with the keys.
        stop: ends the command, and lets the gateway finish the requests under way.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        command: Sequence[str],
        environ: Mapping[str, str],
        stop: threading.Event,
    ) -> None:
        self._config, self._command, self._stop = config, list(command), stop
        self._environ = dict(environ)
        self._upstreams = {
            name: {**options, "key": environ.get(options.get("key_from") or "", "")}
            for name, options in config["upstreams"].items()
        }
        #: Why the last gateway ended by itself, if it did.
        self.why_dead = ""

    def run(self) -> int:
        """Run gateway and command once; return the command's exit code.

        Raises:
            NotStarted: the gateway cannot start.
        """
        self.why_dead = ""
        with beside.beside(
            Path(self._config["directory"]),
            self._upstreams,
            self._lose,
            grace=float(self._config["grace"]),
            mode=self._config["mode"],
        ) as gateway:
            words = [self._through(gateway, word) for word in self._command]
            self._write_files(gateway)
            env = {name: self._through(gateway, text) for name, text in self._config["env"].items()}
            env |= dict.fromkeys(self._config["tokens"], gateway.token)
            harness = subprocess.Popen(words, env={**self._environ, **env}, start_new_session=True)
            code = self._wait(harness, gateway)
        return code if code >= 0 else 128 - code

    def _lose(self, reason: str) -> None:
        self.why_dead = reason

    def _wait(self, harness: subprocess.Popen[bytes], gateway: beside.Gateway) -> int:
        """Wait for the command's end, and end it if it shall stop or lost its gateway."""
        until = 0.0
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return harness.wait(0.1)
            if not (self._stop.is_set() or self.why_dead):
                continue
            if not until:
                until = time.monotonic() + float(self._config["grace"])
                gateway.begin_drain()
                _signal(harness, signal.SIGTERM)
            elif time.monotonic() > until:
                _signal(harness, signal.SIGKILL)

    def _through(self, gateway: beside.Gateway, text: str) -> str:
        """Return a text with the gateway's URLs."""
        # The name of a model may begin with the name of another model.
        for name, url in sorted(self._config["urls"].items(), key=lambda pair: -len(pair[1])):
            path = beside.path_of(self._upstreams[name])
            text = text.replace(url, gateway.urls[name].removesuffix(path))
        return text

    def _write_files(self, gateway: beside.Gateway) -> None:
        drafts, files = Path(self._config["drafts"]), Path(self._config["files"])
        for draft in sorted(drafts.iterdir()) if drafts.is_dir() else ():
            files.mkdir(parents=True, exist_ok=True)
            text = self._through(gateway, draft.read_text(encoding="utf-8"))
            (files / draft.name).write_text(text, encoding="utf-8")


def _signal(harness: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(harness.pid, number)


def empty(directory: Path) -> None:
    """Remove all that a directory holds, if it is there."""
    for path in directory.iterdir() if directory.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def say(text: str) -> None:
    """Print a line for the log of the job."""
    print(f"snakeval: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
