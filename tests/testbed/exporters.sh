#!/usr/bin/env bash
# What exports are looked at with: an environment with the MLflow server, and one with inspect_ai,
# which both want other versions than ours. From the index that pip is set up for; made again only
# if what it is made of has changed. The tests start and stop the server themselves.
set -euo pipefail

testbed=${SNAKEVAL_TESTBED:-/tmp/snakeval-testbed}
place=$testbed/exporters
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
inputs=$(cat "$here/exporters_requirements.txt" | sha256sum | cut -d' ' -f1)

if [ "$(cat "$place/ready" 2>/dev/null)" = "$inputs" ]; then
    echo "exporters: $place is up to date"
    exit 0
fi

make_environments() {
    while read -r name requirement; do
        "${PYTHON:-python3}" -m venv "$place/$name" &&
            timeout 900 "$place/$name/bin/pip" install --disable-pip-version-check "$requirement" ||
            return 1
    done < <(grep -v '^#' "$here/exporters_requirements.txt")
}

start=$SECONDS
rm -rf "$place"
mkdir -p "$place"
make_environments >"$testbed/exporters.log" 2>&1 || { tail -n 20 "$testbed/exporters.log" >&2; exit 1; }
echo "$inputs" >"$place/ready"
echo "exporters: made $place in $((SECONDS - start)) s"
