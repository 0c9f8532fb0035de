"""The key of an endpoint reaches no harness, on every runtime and in Slurm jobs."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from support.command import snakeval
from support.workspace import REPOSITORY, Workspace

KEY = "sk-canary-5d0c1f7e9b"
#: Variables that every harness of this machine gets (docs/runtimes.md#variables).
GIVEN = {"HF_TOKEN": "token-canary-77aa01", "https_proxy": "http://me:proxy-canary@127.0.0.1:9"}

#: Asks four questions; python3 prints the body of an error, as many harnesses do. Then it keeps
#: what it can read of its processes.
COMMAND = """
ASK='import sys, urllib.error, urllib.request as web
try:
    request = web.Request(sys.argv[1], sys.argv[2].encode(), {"Authorization": sys.argv[3]})
    print(web.urlopen(request, timeout=60).read().decode())
except urllib.error.HTTPError as error:
    print(error, error.headers, error.read().decode())'
for question in fine 429 500 401; do
  body='{"model": "m", "messages": [{"role": "user", "content": "'$question'"}]}'
  if command -v python3 > /dev/null; then
    python3 -c "$ASK" {{ url }} "$body" "Bearer $API_KEY"
  else
    wget -q -O - --post-data "$body" --header "Authorization: Bearer $API_KEY" {{ url }} || true
  fi
done | tee {{ results }}/answers.txt
env > {{ results }}/env.txt
touch "$HF_HOME/written"
for process in PROCESSES; do
  cat $process/environ $process/cmdline >> {{ results }}/processes.txt
done 2> /dev/null
echo '{"token": '$(printf %s "$API_KEY" | wc -c)'}' > {{ results }}/score.json
"""
_SLURM = (
    *("--profile", str(REPOSITORY / "profiles" / "slurm"), "--latency-wait", "5"),
    *("--default-resources", "slurm_account=evals", "slurm_partition=cpu"),
)


class Endpoint(ThreadingHTTPServer):
    """Answers 401, 429 or 500 as its question wants, and repeats the key in each error."""

    daemon_threads = True

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.keys: set[str] = set()
        super().__init__(("127.0.0.1", 0), _Answers)


class _Answers(BaseHTTPRequestHandler):
    server: Endpoint

    def log_message(self, *words: object) -> None:
        """Print nothing."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        wanted, key = asked["messages"][0]["content"], str(self.headers["Authorization"])
        status = int(wanted) if wanted.isdigit() else 200
        if status in (429, 500) and self.server.statuses[status]:
            status = 200
        self.server.statuses[status] += 1
        self.server.keys.add(key)
        data: dict[str, object] = {"error": {"message": f"no answer with the key {key}"}}
        if status == 200:
            data = {"choices": [{"message": {"content": "well"}, "finish_reason": "stop"}]}
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("WWW-Authenticate", f"Bearer realm={key}")
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


def work_of(directory: Path, runtime: str, endpoint: Endpoint) -> Workspace:
    # A container has a /proc of its own; elsewhere only the harness's processes are the harness's.
    processes = "/proc/$$ /proc/self" if runtime == "process" else "/proc/[0-9]*"
    benchmark = {
        "harness": "generic",
        "image": "snakeval-testbed/busybox:latest",
        "command": COMMAND.replace("PROCESSES", processes),
        "metrics": {"file": "score.json", "values": {"token": "token"}},
    }
    url = f"http://127.0.0.1:{endpoint.server_address[1]}/v1"
    asked = {"url": url, "model_id": "m", "api_key_name": "CANARY"}
    return Workspace.below(
        directory,
        runtime=runtime,
        models={"m": {"endpoint": asked}},
        benchmarks={"b": benchmark},
        export={"local": {"output_dir": "lake", "formats": ["csv", "json"]}},
        execution={"slurm": {"account": "evals", "partition": "cpu"}},
        health={"given_up": "ignore"},  # its harness does
    )


@pytest.mark.parametrize(
    ("runtime", "options"),
    [
        pytest.param("process", (), id="process"),
        pytest.param("docker", (), id="docker", marks=pytest.mark.docker),
        pytest.param("podman", (), id="podman", marks=pytest.mark.podman),
        pytest.param("process", _SLURM, id="slurm", marks=pytest.mark.slurm),
    ],
)
def test_the_key_is_nowhere_also_after_errors(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    endpoint: Endpoint,
    runtime: str,
    options: tuple[str, ...],
) -> None:
    for name, value in {"CANARY": KEY, "HF_HOME": str(tmp_path / "hub"), **GIVEN}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "hub").mkdir()
    work = work_of(tmp_path, runtime, endpoint)
    done = work.snakemake(*options)
    assert done.exit_code == 0, done.output
    preflight = 1  # with the key, which must not leak from there either
    assert endpoint.statuses == {200: 3 + preflight, 429: 1, 500: 1, 401: 1}
    assert endpoint.keys == {f"Bearer {KEY}"}, "the endpoint receives the key"
    assert work.table().loc["m/b", "value"] == 32, "the harness has a token of 32 digits"
    artifacts = work.run / "m/b/artifacts"
    assert (artifacts / "answers.txt").read_text().count("well") == 3
    assert "API_KEY=" in (artifacts / "processes.txt").read_text(errors="replace")
    inside = "/mnt/snakeval/hf_home" if runtime in ("docker", "podman") else str(tmp_path / "hub")
    given = {f"{name}={value}" for name, value in {**GIVEN, "HF_HOME": inside}.items()}
    assert given <= {*(artifacts / "env.txt").read_text().splitlines()}
    assert (tmp_path / "hub" / "written").exists()
    requests = snakeval(work, "requests", f"{work.run}/m/b", "--jsonl")
    assert requests.stdout.count("well") == 3, requests.stderr
    said = done.output + requests.stdout + requests.stderr
    assert not [value for value in (KEY, *GIVEN.values()) if value in said]
    assert list((work.directory / "lake").rglob("*.csv")), "the run was exported"
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
    others = [path for path in files if path.name not in ("env.txt", "processes.txt")]
    values = [value.encode() for value in GIVEN.values()]
    assert not [path for path in others if any(each in path.read_bytes() for each in values)]
