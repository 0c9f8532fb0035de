#!/usr/bin/env bash
# Makes run_of_0bdcd8f/ again: a run of the commit before the package moved to its new folders, with
# finished evaluations, a failed one and an interrupted one. README.md describes the result.
# Requires root, git, Python 3.11 or newer and a package index.
#
# The script runs in its own namespaces. The paths and the host's name are therefore neutral, the
# script leaves nothing on this machine, and `kill -9` reaches only its own processes.
set -euo pipefail

commit=0bdcd8f
here=$(cd "$(dirname "$0")" && pwd)
data=$here/run_of_$commit
top=/srv/snakeval

if [ "${1:-}" != inside ]; then
    disk=$(mktemp -d)
    trap 'rm -rf "$disk"' EXIT
    export disk
    unshare --mount --uts --pid --fork --mount-proc bash "$0" inside
    exit
fi

hostname node1
mount --bind "$disk" /srv
mkdir -p $top/state $top/code
git -C "$(git -C "$here" rev-parse --show-toplevel)" archive --format=tar $commit | tar -x -C $top/code
python3 -m venv $top/venv
$top/venv/bin/pip install --quiet --constraint $top/code/constraints.txt --editable $top/code
cp -r "$data/evaluation.yaml" "$data/benchmarks" $top
cd $top

# Without the variables of the person who runs this script.
snakeval() {
    env -i HOME=/nonexistent LANG=C.UTF-8 PATH=$top/venv/bin:/usr/bin:/bin \
        SNAKEVAL_HOME=$top/home STATE_DIR=$top/state XDG_CACHE_HOME=$top/cache \
        snakeval "$@"
}

# The head, the job and the harness; the pool and its servers if there are any.
processes() {
    grep -lzsx "SNAKEVAL_HOME=$top/home" /proc/[0-9]*/environ | cut -d/ -f3
}

# First an earlier definition of one evaluation. The next start moves its artifacts to attempts/.
sed -i 's/level: 2/level: 1/' evaluation.yaml
snakeval run --config evaluation.yaml -- --config models=first benchmarks=quiz
sed -i 's/level: 1/level: 2/' evaluation.yaml

# Then all except the slow benchmark: three evaluations finish, one fails.
if snakeval run --config evaluation.yaml -- --config benchmarks=quiz,flaky,asked; then
    echo "error: flaky did not fail" >&2
    exit 1
fi

# Then the whole run. It ends by kill -9 while the slow benchmark waits at its fourth item.
snakeval run --config evaluation.yaml &
until grep -qs "3 of 5" results/*/first/slow/logs/attempt-1.log &&
    [ -e results/*/first/flaky/failure.json ]; do
    sleep 0.2
done
sleep 1
mapfile -t running < <(processes)
kill -9 "${running[@]}"
wait || true
if [ -n "$(processes)" ]; then
    echo "error: a process survived" >&2
    exit 1
fi

# The page carries plotly.js, five megabytes that tell nothing about the run.
python3 - results/*/report.html <<'PYTHON'
import re, sys
from pathlib import Path

page = Path(sys.argv[1])
text = page.read_text()
short, found = re.subn(r'(<script[^>]* id="plotly">).*?(?=</script>)', r"\1", text, flags=re.S)
assert found == 1
page.write_text(short)
PYTHON

rm -rf "$data"
mkdir "$data"
cp -a evaluation.yaml benchmarks results home .snakemake "$data"
find "$data" -type d -empty -delete # git keeps none
