"""A score that a harness computed with a broken server is not published."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.limits import HUNG
from support.served import Served, kill_9, wait_for

#: Counts a question without an answer as a wrong one, as many harnesses do, and exits with 0.
_TOLERANT = """\
import json, pathlib, signal, sys, time, urllib.request
url, model, go, results, graceful = sys.argv[1:]
right = 0
def write(*signalled):
    pathlib.Path(results, "score.json").write_text(json.dumps({"score": right / 10}))
    if signalled:
        sys.exit(0)
if graceful == "graceful":
    signal.signal(signal.SIGTERM, write)
for number in range(10):
    while number == 4 and not pathlib.Path(go).exists():
        time.sleep(0.02)
    message = {"role": "user", "content": f"What is {number} + 1?"}
    body = json.dumps({"model": model, "messages": [message]}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    patience = 60
    if graceful == "impatient" and number == 4 and not pathlib.Path(go + "-once").exists():
        pathlib.Path(go + "-once").touch()
        patience = 0.05
    try:
        with urllib.request.urlopen(request, timeout=patience) as answer:
            right += str(number + 1) in answer.read().decode()
    except OSError:
        pass
write()
"""


@pytest.mark.parametrize("harness", ["fast", "graceful", "impatient"])
# With the ledger, the gateway asks again what the lost server did not answer.
@pytest.mark.parametrize("ledger", ["on", "off"])
def test_no_score_of_a_harness_that_lost_its_server_is_published(
    tmp_path: Path, harness: str, ledger: str
) -> None:
    served = Served(tmp_path, "process", "careful")
    served.work.config["ledger"] = ledger
    served.asks("tolerant", seed=1)
    (served.shared / "tolerant.py").write_text(_TOLERANT)
    served.work.config["benchmarks"]["tolerant"]["command"] = (
        f"exec python3 {served.shared}/tolerant.py "
        "{{ url }} {{ model_id }} "
        f"{served.shared}/go "
        "{{ results }} "
        f"{harness}"
    )
    head = served.work.start()
    wait_for(lambda: len(served.recorded.answers) == 4, "no answers")
    kill_9(served.server)
    if harness == "graceful":  # the job tells it to end, before the model is served again
        wait_for(
            lambda: served.recorded.loads["careful"] == 2 or head.poll() is not None,
            "it is not served again",
        )
    served.go()
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 0, output
    assert served.scores() == {"careful/tolerant": 1}
    assert served.recorded.loads == {"careful": 2}
    served.nothing_is_left()
