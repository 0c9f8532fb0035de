"""A command on this machine is known before a Ctrl-C can be raised."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from snakemake_executor_plugin_lepton.here import LocalJob


def test_a_ctrl_c_during_the_start_loses_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(subprocess.Popen[bytes]):
        """A start that a Ctrl-C meets just after the fork."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(1000):
                pass  # Python handles the signal between two of these

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    job = LocalJob("exec sleep 1800", tmp_path / "log")
    with pytest.raises(KeyboardInterrupt):
        job.start()
    assert job.poll() is None
    job.stop()
    assert job.poll() == -signal.SIGTERM
