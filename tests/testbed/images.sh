#!/usr/bin/env bash
# Images for the tests, made here because no registry need be reachable. Needs root and an
# engine (engine.sh start). With arguments, only those: images.sh [busybox] [lm-eval] [eval-factory]
#
# An image is built again only if what it is made of has changed (label snakeval.inputs).
set -euo pipefail

testbed=${SNAKEVAL_TESTBED:-/tmp/snakeval-testbed}
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
base=snakeval-testbed/python:3.11-slim
wheels=$testbed/wheels
suite=bookworm # its Python is 3.11, like that of the base image that users build from
include=python3,python3-venv,ca-certificates

digest() {
    cat "$@" | sha256sum | cut -d' ' -f1
}

up_to_date() { # image, inputs
    local have
    have=$(docker image inspect -f '{{index .Config.Labels "snakeval.inputs"}}' "$1" 2>/dev/null) || return 1
    [ "$have" = "$2" ] && echo "image: $1 is up to date"
}

timed() { # what, command...
    local what=$1 start=$SECONDS
    shift
    "$@"
    echo "image: $what in $((SECONDS - start)) s"
}

busybox_image() {
    local image=snakeval-testbed/busybox:latest binary inputs root
    binary=$(command -v busybox)
    inputs=$(digest "$binary" "${BASH_SOURCE[0]}")
    up_to_date "$image" "$inputs" && return
    root=$(mktemp -d "$testbed/busybox.XXXXXX")
    mkdir -p "$root"/{bin,etc,results} && mkdir -m 1777 "$root/tmp"
    chmod 755 "$root" && chmod 1777 "$root/results"
    echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"
    echo 'root:x:0:' >"$root/etc/group"
    cp "$binary" "$root/bin/busybox"
    "$binary" --list | while read -r applet; do
        [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
    done
    tar -C "$root" -c . | timeout 120 docker import -c 'CMD ["/bin/sh"]' -c 'ENV PATH=/bin' \
        -c "LABEL snakeval.inputs=$inputs" - "$image" >/dev/null
    rm -rf "$root"
}

# The mirror that apt is set up for. It is asked, not written down.
mirror() {
    # shellcheck disable=SC2016 # apt's own variables
    apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
        awk -v suite="$suite" '$2 == "Debian" && $3 == suite && $4 == "main" { print $1; exit }'
}

base_image() {
    local inputs root
    inputs=$(echo "$suite $include" | digest -)
    up_to_date "$base" "$inputs" && return
    root=$(mktemp -d "$testbed/base.XXXXXX")
    timeout 600 debootstrap --variant=minbase --include="$include" "$suite" "$root" "$(mirror)" \
        >"$testbed/debootstrap.log" 2>&1 || { tail -n 20 "$testbed/debootstrap.log" >&2; return 1; }
    rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
    tar -C "$root" --exclude='./dev/*' -c . |
        timeout 300 docker import -c 'CMD ["python3"]' -c "LABEL snakeval.inputs=$inputs" - "$base" >/dev/null
    rm -rf "$root"
}

# A Python 3.11 with pip, because wheels are fetched for the one that is in the image.
pip311() {
    local python
    if [ ! -x "$testbed/pip/bin/pip" ]; then
        for python in python3.11 python3 /usr/bin/python3; do
            [ "$("$python" -c 'import sys; print(sys.version_info[:2])' 2>/dev/null)" = "(3, 11)" ] && break
        done
        "$python" -m venv "$testbed/pip"
    fi
    timeout 900 "$testbed/pip/bin/pip" "$@"
}

# pip on this machine knows its mirrors and certificates; in the image it only knows this folder.
fetch_wheels() { # lock file
    mkdir -p "$wheels"
    pip311 wheel -q --no-deps --find-links "$wheels" -w "$wheels" -r "$1" 2>"$testbed/pip.log" ||
        { tail -n 20 "$testbed/pip.log" >&2; return 1; }
}

docker_build() { # image, Dockerfile, inputs
    local port_file=$testbed/wheels.port server
    rm -f "$port_file"
    # Served over loopback rather than copied in: a wheel in a layer stays in the image for ever.
    python3 - "$wheels" "$port_file" <<'PYTHON' 2>/dev/null &
import functools, http.server, os, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
with open(sys.argv[2] + ".new", "w") as f:
    f.write(str(server.server_port))
os.rename(sys.argv[2] + ".new", sys.argv[2])
server.serve_forever()
PYTHON
    server=$!
    # shellcheck disable=SC2064 # this very server, also if something below fails
    trap "kill $server 2>/dev/null || true" EXIT
    for _ in $(seq 100); do
        [ -s "$port_file" ] && break
        sleep 0.1
    done
    # The classic builder: Debian's engine and a newer client do not agree on any other.
    DOCKER_BUILDKIT=0 timeout 900 docker build -q --network host --force-rm \
        -f "$repo/$2" -t "$1" --label "snakeval.inputs=$3" \
        --build-arg BASE_IMAGE="$base" \
        --build-arg PIP_NO_INDEX=1 \
        --build-arg PIP_FIND_LINKS="http://127.0.0.1:$(cat "$port_file")/" \
        "$repo" >"$testbed/build.log" 2>&1 || { tail -n 20 "$testbed/build.log" >&2; return 1; }
    kill "$server"
    trap - EXIT
}

# At each start lm-eval reads the files of all its tasks, over 14,000. That is most of the work of a
# small evaluation, and the tests bring tasks of their own.
without_tasks="cd /opt/harness/lib/python3.11/site-packages/lm_eval/tasks && \\
    find . -mindepth 1 -maxdepth 1 -type d ! -name __pycache__ -exec rm -r {} +"

remove_tasks() { # image, inputs
    DOCKER_BUILDKIT=0 timeout 300 docker build -q --force-rm -t "$1" --label "snakeval.inputs=$2" - \
        >"$testbed/build.log" 2>&1 <<DOCKERFILE || { tail -n 20 "$testbed/build.log" >&2; return 1; }
FROM $1
USER 0:0
RUN $without_tasks
USER 1000:1000
DOCKERFILE
}

harness_image() { # image, Dockerfile, lock file
    local inputs
    inputs=$(digest "$repo/$2" "$repo/$3" <(docker image inspect -f '{{.Id}}' "$base") \
        <(echo "$without_tasks"))
    up_to_date "$1" "$inputs" && return
    timed "wheels of $3" fetch_wheels "$repo/$3"
    # Without the label until it is whole: a build that is interrupted is no image that is up to date.
    timed "$1" docker_build "$1" "$2" ""
    timed "$1 without its tasks" remove_tasks "$1" "$inputs"
}

lm_eval_image() {
    timed "$base" base_image
    harness_image snakeval/lm-eval:0.4.13 docker/lm-eval/Dockerfile \
        workflow/snakeval/catalogue/requirements/lm-eval.txt
}

eval_factory_image() {
    timed "$base" base_image
    harness_image snakeval-testbed/eval-factory:26.3 docker/eval-factory/Dockerfile \
        docker/eval-factory/requirements.txt
}

mkdir -p "$testbed"
[ $# -gt 0 ] || set -- busybox lm-eval eval-factory
for name in "$@"; do
    case $name in
    busybox) timed snakeval-testbed/busybox:latest busybox_image ;;
    lm-eval) lm_eval_image ;;
    eval-factory) eval_factory_image ;;
    *)
        echo "usage: images.sh [busybox] [lm-eval] [eval-factory]" >&2
        exit 2
        ;;
    esac
done
