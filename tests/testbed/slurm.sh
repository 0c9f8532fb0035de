#!/usr/bin/env bash
# A real Slurm for the tests, four nodes and accounting on this one machine:
# slurm.sh start|stop|status. Needs root.
#
# `start` starts whatever is missing, so it also mends a cluster of which a test has killed a part;
# what it knew (jobs, accounts) lasts until `stop`. All of it lies below the testbed directory, but
# /etc/slurm/slurm.conf, a link: programs that drop SLURM_CONF look there.
set -euo pipefail

testbed=${SNAKEVAL_TESTBED:-/tmp/snakeval-testbed}
state=$testbed/slurm
link=/etc/slurm/slurm.conf
host=$(hostname -s)
nodes=(n1 n2 n3 n4)
packages=(slurmctld slurmd slurmdbd slurm-client munge mariadb-server)
database_port=${SNAKEVAL_TESTBED_DATABASE_PORT:-13306}
# The daemons' own; slurmdbd takes the directory of the other files from it, too.
export SLURM_CONF=$state/etc/slurm.conf

# --- processes: each is known by its pid and by the variable above ----------------------------

ours() { # name
    local pid
    pid=$(cat "$state/run/$1.pid" 2>/dev/null) || return 1
    [ -n "$pid" ] && grep -qzxF -- "SLURM_CONF=$SLURM_CONF" "/proc/$pid/environ" 2>/dev/null
}

launch() { # name, command...
    local name=$1
    shift
    # A process group of its own: the caller's Ctrl-C must not take the cluster along. A directory
    # that stays: what it starts has it, too. No file of the caller's, which may be a lock.
    (
        for open in /proc/self/fd/*; do
            [ "${open##*/}" -le 2 ] || eval "exec ${open##*/}>&-"
        done
        cd "$state" && exec setsid "$@" >>"$state/log/$name.out" 2>&1 </dev/null
    ) &
    echo $! >"$state/run/$name.pid"
}

await() { # name or -, seconds, what is waited for, command...
    local name=$1 seconds=$2 what=$3 until=$((SECONDS + $2))
    shift 3
    until "$@" >/dev/null 2>&1; do
        if [ "$name" != - ] && ! ours "$name"; then
            explain "$name ended before $what"
            return 1
        fi
        if [ "$SECONDS" -ge "$until" ]; then
            explain "not within $seconds s: $what"
            return 1
        fi
        sleep 0.1
    done
}

explain() { # what is wrong
    local log
    echo "slurm: $1" >&2
    for log in "$state"/log/*; do
        [ -s "$log" ] || continue
        echo "--- $log" >&2
        tail -n 8 "$log" >&2
    done
}

end() { # name
    local pid
    if ours "$1"; then
        pid=$(cat "$state/run/$1.pid")
        kill "$pid" 2>/dev/null || true
        for _ in $(seq 100); do
            ours "$1" || break
            sleep 0.1
        done
        ! ours "$1" || kill -KILL "$pid" 2>/dev/null || true
    fi
    rm -f "$state/run/$1.pid"
}

# Jobs' shepherds outlive slurmd. They belong to the cluster whose spool directory they are in.
shepherds() {
    local process
    for process in /proc/[0-9]*; do
        case $(readlink "$process/exe" 2>/dev/null) in
        */slurmstepd*) ;;
        *) continue ;;
        esac
        case $(readlink "$process/cwd" 2>/dev/null) in
        "$state"*) echo "${process#/proc/}" ;;
        esac
    done
}

# --- what the daemons read --------------------------------------------------------------------

write_files() {
    local number
    mkdir -p "$state"/{etc,run,log,controller,gpus}
    for node in "${nodes[@]}"; do
        mkdir -p "$state/spool/$node"
    done
    # Slurm sets CUDA_VISIBLE_DEVICES only for what is a device. Nothing drives this one.
    for number in $(seq 0 7); do
        [ -e "$state/gpus/nvidia$number" ] || mknod "$state/gpus/nvidia$number" c 195 "$number"
    done
    [ -e "$state/etc/munge.key" ] || (umask 077 && head -c 128 /dev/urandom >"$state/etc/munge.key")
    # A daemon that is mended reads the same as those that run.
    [ ! -e "$state/etc/slurm.conf" ] || return 0
    cat >"$state/etc/slurm.conf" <<CONF
ClusterName=testbed
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job waits until its old credential has expired, by default for two minutes.
AuthInfo=socket=$state/run/munge.socket,cred_expire=15
StateSaveLocation=$state/controller
SlurmdSpoolDir=$state/spool/%n
SlurmctldPidFile=$state/run/slurmctld.own.pid
SlurmdPidFile=$state/run/%n.own.pid
SlurmctldLogFile=$state/log/slurmctld.log
SlurmdLogFile=$state/log/%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=5
MailProg=/bin/true
ReturnToService=2
SlurmdTimeout=20
KillWait=10
# What can be preempted is put back into the queue.
PreemptType=preempt/qos
PreemptMode=REQUEUE
PriorityType=priority/multifactor
PriorityWeightQOS=1000
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=500
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
GresTypes=gpu
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePass=$state/run/munge.socket
AccountingStorageTRES=gres/gpu
AccountingStorageEnforce=associations,limits,qos
AccountingStoreFlags=job_comment,job_script
# Room for the jobs of several tests at the same time.
NodeName=n[1-4] NodeHostname=$host NodeAddr=127.0.0.1 Port=[17001-17004] CPUs=16 RealMemory=32000 Gres=gpu:8
# A job without a limit of its own may last as long as a test may wait for it (HUNG).
PartitionName=cpu Nodes=n[1-4] Default=YES DefaultTime=00:30:00 MaxTime=INFINITE
PartitionName=gpu Nodes=n[1-4] DefaultTime=00:30:00 MaxTime=02:00:00
CONF
    cat >"$state/etc/gres.conf" <<CONF
AutoDetect=off
NodeName=n[1-4] Name=gpu File=$state/gpus/nvidia[0-7]
CONF
    (umask 077 && cat >"$state/etc/slurmdbd.conf") <<CONF
DbdHost=localhost
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$state/run/munge.socket
PidFile=$state/run/slurmdbd.own.pid
LogFile=$state/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$database_port
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
CONF
    cat >"$state/etc/database.sql" <<SQL
CREATE DATABASE IF NOT EXISTS slurm_acct_db;
CREATE USER IF NOT EXISTS slurm@'127.0.0.1' IDENTIFIED BY 'slurm';
GRANT ALL ON slurm_acct_db.* TO slurm@'127.0.0.1';
SQL
}

take_link() {
    if [ -e "$link" ] || [ -L "$link" ]; then
        [ "$(readlink "$link")" = "$SLURM_CONF" ] && return
        echo "slurm: $link is another cluster's; it stays" >&2
        return 1
    fi
    mkdir -p "${link%/*}"
    ln -s "$SLURM_CONF" "$link"
}

# --- the daemons, in the order in which they need each other ----------------------------------

start_munge() {
    ours munged && return
    launch munged munged --foreground --force --socket "$state/run/munge.socket" \
        --key-file "$state/etc/munge.key" --log-file "$state/log/munged.log" \
        --pid-file "$state/run/munged.own.pid" --seed-file "$state/run/munge.seed" --num-threads 4
    await munged 300 "munge answers" munge --no-input --socket "$state/run/munge.socket"
}

start_database() {
    ours mariadbd && return
    if [ ! -d "$state/database/mysql" ]; then
        rm -rf "$state/database"
        timeout 120 mariadb-install-db --no-defaults --user=root --datadir="$state/database" \
            --skip-test-db >"$state/log/mariadb-install.log" 2>&1 ||
            { explain "the database cannot be made"; return 1; }
    fi
    launch mariadbd mariadbd --no-defaults --user=root --datadir="$state/database" \
        --socket="$state/run/database.socket" --bind-address=127.0.0.1 --port="$database_port" \
        --pid-file="$state/run/mariadbd.own.pid" --init-file="$state/etc/database.sql" \
        --skip-name-resolve --innodb-flush-log-at-trx-commit=0 --innodb-lock-wait-timeout=900
    await mariadbd 300 "the database answers" \
        mariadb-admin --no-defaults --socket="$state/run/database.socket" --user=root ping
}

answers() { # of the accounting
    [ -n "$(timeout 10 sacctmgr -n -P show qos format=name)" ]
}

has_accounts() {
    timeout 10 sacctmgr -n -P show assoc user=root account=evals format=qos | grep -q urgent
}

start_accounting() {
    if ! ours slurmdbd; then
        launch slurmdbd slurmdbd -D
        await slurmdbd 300 "slurmdbd answers" answers
    fi
    ! has_accounts || return 0
    # `evals` may use every QoS; `urgent` sends `scavenger` back into the queue; `short` ends early.
    # Two calls: a sacctmgr does not see the QoS that it has just made.
    {
        timeout 60 sacctmgr -i <<'ACCOUNTS'
add cluster testbed
add qos short priority=100 maxwall=00:30:00
add qos scavenger priority=1
add qos urgent priority=1000 preempt=scavenger
add account evals description=evaluations organization=testbed
add account other description=others organization=testbed
add user root account=evals
add user root account=other
modify user root set defaultaccount=evals
ACCOUNTS
        timeout 60 sacctmgr -i modify account evals set qos=normal,short,urgent,scavenger
    } >"$state/log/sacctmgr.log" 2>&1
    await - 300 "the accounts are there" has_accounts
}

up() { # all nodes answer, busy or not; `*` is one that does not
    [ "$(timeout 5 sinfo -h -N -p cpu -o %t | grep -cvE '[*]|down|drain|drng|fail|unk')" = ${#nodes[@]} ]
}

start_cluster() {
    local node
    if ! ours slurmctld; then
        launch slurmctld slurmctld -D -i
        await slurmctld 300 "slurmctld answers" timeout 5 scontrol ping
    fi
    for node in "${nodes[@]}"; do
        ours "$node" || launch "$node" slurmd -D -N "$node"
    done
    for node in "${nodes[@]}"; do
        # Drained or down by a test, or since its slurmd was killed.
        case $(timeout 5 sinfo -h -n "$node" -p cpu -o %T) in
        down* | drain*) timeout 5 scontrol update "nodename=$node" state=resume 2>/dev/null || true ;;
        esac
    done
    await - 300 "all of ${nodes[*]} are up" up
}

start() {
    local began=$SECONDS
    bash "$(dirname "${BASH_SOURCE[0]}")/apt.sh" "${packages[@]}"
    mkdir -p "$testbed"
    write_files
    take_link
    start_munge
    start_database
    start_accounting
    start_cluster
    echo "slurm: ${#nodes[@]} nodes in $((SECONDS - began)) s ($state)"
}

stop() {
    local name pid left
    if [ ! -d "$state" ]; then
        echo "slurm: none of ours is here"
        return
    fi
    if ours slurmctld; then
        timeout 10 squeue -h -t all -o %A 2>/dev/null | xargs -r timeout 10 scancel 2>/dev/null || true
        for _ in $(seq 50); do
            [ -n "$(shepherds)" ] || break
            sleep 0.2
        done
    fi
    for name in "${nodes[@]}" slurmctld slurmdbd mariadbd munged; do
        end "$name"
    done
    # What a shepherd that is killed leaves is named by it, so look before.
    for pid in $(shepherds); do
        for left in $(pgrep -P "$pid"); do
            kill -KILL -- "-$left" "$left" 2>/dev/null || true
        done
        kill -KILL "$pid" 2>/dev/null || true
    done
    if [ "$(readlink "$link")" = "$SLURM_CONF" ]; then
        rm -f "$link"
    fi
    rm -rf "$state"
    echo "slurm: stopped"
}

status() {
    local name bad=0
    for name in munged mariadbd slurmdbd slurmctld "${nodes[@]}"; do
        ours "$name" || { echo "slurm: $name does not run"; bad=1; }
    done
    [ "$bad" = 0 ] || return 1
    timeout 10 sinfo || return 1
    up || return 1
}

case ${1:-} in
start | stop | status) "$1" ;;
*)
    echo "usage: slurm.sh start|stop|status" >&2
    exit 2
    ;;
esac
