#!/usr/bin/env bash
# A real Docker engine for the tests: engine.sh start|stop|status
#
# Images live under the testbed directory, outside the repository, and survive
# stop and start on the same machine.
set -euo pipefail

testbed=${SNAKEVAL_TESTBED:-/tmp/snakeval-testbed}
socket=${SNAKEVAL_TESTBED_SOCKET:-/var/run/docker.sock}
pidfile=$testbed/engine.pid
logfile=$testbed/engine.log
export DOCKER_HOST=unix://$socket

answers() {
    timeout 10 docker info >/dev/null 2>&1
}

# A pid alone proves nothing after a reboot: the process must be our dockerd.
ours() {
    local pid
    pid=$(cat "$pidfile" 2>/dev/null) || return 1
    [ -n "$pid" ] && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "dockerd --data-root $testbed/"
}

# Debian's cgroup v1 layout is what this engine needs; a bare machine may have none mounted.
mount_cgroups() {
    local name
    [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] && return
    mountpoint -q /sys/fs/cgroup || mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
    for name in cpu cpuacct cpuset memory devices freezer blkio pids; do
        grep -q "^${name}[[:space:]]" /proc/cgroups || continue
        mkdir -p "/sys/fs/cgroup/$name"
        mountpoint -q "/sys/fs/cgroup/$name" ||
            mount -t cgroup -o "$name" cgroup "/sys/fs/cgroup/$name" 2>/dev/null || true
    done
}

# overlay2 cannot be stacked on every file system (overlay itself, some tmpfs).
storage_driver() {
    local probe=$testbed/overlay-probe driver=vfs
    mkdir -p "$probe"/{lower,upper,work,merged}
    if mount -t overlay overlay "$probe/merged" \
        -o "lowerdir=$probe/lower,upperdir=$probe/upper,workdir=$probe/work" 2>/dev/null; then
        umount "$probe/merged"
        driver=overlay2
    fi
    rm -rf "$probe"
    echo "$driver"
}

launch() { # extra dockerd flags
    # A process group of its own: the caller's Ctrl-C must not take the engine along.
    setsid dockerd --data-root "$testbed/docker" --exec-root "$testbed/docker-exec" \
        --pidfile "$testbed/dockerd.pid" --host "$DOCKER_HOST" "$@" \
        >>"$logfile" 2>&1 </dev/null &
    echo $! >"$pidfile"
    for _ in $(seq 60); do
        answers && return 0
        kill -0 "$(cat "$pidfile")" 2>/dev/null || return 1
        sleep 0.5
    done
    return 1
}

start() {
    if answers; then
        echo "engine: already answers at $DOCKER_HOST"
        return
    fi
    if ours; then
        echo "engine: pid $(cat "$pidfile") runs but does not answer; see $logfile" >&2
        return 1
    fi
    mkdir -p "$testbed"
    rm -f "$testbed/dockerd.pid"
    mount_cgroups
    local driver
    driver=$(storage_driver)
    # Without netfilter an engine still serves --network host and none.
    if launch --storage-driver "$driver" ||
        launch --storage-driver "$driver" --iptables=false --ip6tables=false --bridge=none; then
        echo "engine: pid $(cat "$pidfile") ($pidfile), storage driver $driver"
        return
    fi
    tail -n 20 "$logfile" >&2
    stop
    return 1
}

stop() {
    if ! ours; then
        echo "engine: none of ours runs"
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
    kill -KILL "$pid" 2>/dev/null || true
    rm -f "$pidfile"
    echo "engine: stopped (pid $pid)"
}

status() {
    if answers; then
        timeout 10 docker info --format \
            'engine: {{.ServerVersion}}, {{.Driver}}, cgroup v{{.CgroupVersion}}, {{.Images}} images, {{.ContainersRunning}} running'
        return
    fi
    echo "engine: does not answer at $DOCKER_HOST"
    return 1
}

case ${1:-} in
start | stop | status) "$1" ;;
*)
    echo "usage: engine.sh start|stop|status" >&2
    exit 2
    ;;
esac
