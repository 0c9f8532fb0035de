"""The demo: serves its two models, then evaluates `config/config.yaml` as anybody would.

python -m snakeval.demo [any option of snakemake]
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence

from snakeval.demo.server import MODELS, serve

#: Where `config/config.yaml` says that the demo's models are.
PORT = 18311


def main(options: Sequence[str]) -> int:
    """Return Snakemake's exit code, or 2 if the models cannot be served."""
    command = ["snakemake", "--profile", "profiles/local", *options]
    try:
        with serve(port=PORT):
            print(f"Serving {' and '.join(MODELS)} on port {PORT}, then: {shlex.join(command)}")
            sys.stdout.flush()
            return _run([sys.executable, "-m", *command])
    except OSError as problem:
        print(
            f"Port {PORT}, where config/config.yaml looks for the demo's models, cannot be served "
            f"({problem.strerror}); stop what uses it, perhaps another demo.",
            file=sys.stderr,
        )
        return 2


def _run(command: Sequence[str]) -> int:
    with subprocess.Popen(command) as child:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                # The terminal has told Snakemake, too: it stops its jobs, then ends.
                continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
