#!/usr/bin/env bash
# A real language model for the tests: a tiny random one, and an environment that serves it, from
# the index that pip is set up for. Made again only if what it is made of has changed.
set -euo pipefail

testbed=${SNAKEVAL_TESTBED:-/tmp/snakeval-testbed}
tiny=$testbed/tiny
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
inputs=$(cat "$here/tiny_requirements.txt" "$here/tiny_model.py" | sha256sum | cut -d' ' -f1)

if [ "$(cat "$tiny/ready" 2>/dev/null)" = "$inputs" ]; then
    echo "tiny: $tiny is up to date"
    exit 0
fi

make_tiny() {
    "${PYTHON:-python3}" -m venv "$tiny/venv" &&
        timeout 900 "$tiny/venv/bin/pip" install --disable-pip-version-check \
            --requirement "$here/tiny_requirements.txt" &&
        HF_HUB_OFFLINE=1 timeout 120 "$tiny/venv/bin/python" "$here/tiny_model.py" "$tiny/tiny"
}

start=$SECONDS
rm -rf "$tiny"
mkdir -p "$tiny"
make_tiny >"$testbed/tiny.log" 2>&1 || { tail -n 20 "$testbed/tiny.log" >&2; exit 1; }
echo "$inputs" >"$tiny/ready"
echo "tiny: made $tiny in $((SECONDS - start)) s"
