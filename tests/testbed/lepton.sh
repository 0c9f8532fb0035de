#!/usr/bin/env bash
# A stand-in for DGX Cloud Lepton, for trying things by hand: lepton.sh start|stop|status
#
# Tests start their own. Jobs and endpoints are containers of the Docker engine (engine.sh), or
# processes where none answers; PYTHON (python3) needs nothing installed. Afterwards
#   . /tmp/snakeval-testbed/lepton.env
# leads `lep`, the SDK and `snakemake --profile profiles/lepton` there.
set -euo pipefail
cd "$(dirname "$0")/../../workflow/snakemake-executor-plugin-lepton/tests"

testbed=${SNAKEVAL_TESTBED:-/tmp/snakeval-testbed}
pidfile=$testbed/lepton.pid
variables=$testbed/lepton.env

# A pid alone proves nothing after a reboot: the process must be ours.
ours() {
    local pid
    pid=$(cat "$pidfile" 2>/dev/null) || return 1
    [ -n "$pid" ] && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "-m standin"
}

start() {
    if ours; then
        echo "lepton: already runs (pid $(cat "$pidfile")); . $variables"
        return
    fi
    mkdir -p "$testbed"
    rm -f "$variables"
    setsid "${PYTHON:-python3}" -m standin --env-file "$variables" \
        --directory "$testbed/lepton" "$@" >"$testbed/lepton.log" 2>&1 </dev/null &
    echo $! >"$pidfile"
    for _ in $(seq 60); do
        [ -s "$variables" ] && break
        sleep 0.5
    done
    if ! [ -s "$variables" ]; then
        tail -n 20 "$testbed/lepton.log" >&2
        return 1
    fi
    echo "lepton: pid $(cat "$pidfile") ($pidfile); . $variables"
}

stop() {
    if ! ours; then
        echo "lepton: none of ours runs"
        rm -f "$pidfile"
        return
    fi
    local pid
    pid=$(cat "$pidfile")
    kill "$pid"
    for _ in $(seq 60); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.5
    done
    rm -f "$pidfile" "$variables"
    echo "lepton: stopped (pid $pid)"
}

status() {
    if ours; then
        echo "lepton: runs (pid $(cat "$pidfile")); . $variables"
        return
    fi
    echo "lepton: does not run"
    return 1
}

command=${1:-}
shift || true
case $command in
start) start "$@" ;;
stop | status) "$command" ;;
*)
    echo "usage: lepton.sh start [options of python -m standin]|stop|status" >&2
    exit 2
    ;;
esac
