#!/usr/bin/env bash
# Makes podman usable beside the Docker engine of engine.sh, and gives it the small image.
# Needs root. A drop-in, since the tests run podman as anybody would, with no variable set.
set -euo pipefail

image=snakeval-testbed/busybox:latest
settings=/etc/containers/containers.conf.d/snakeval-testbed.conf

mkdir -p "$(dirname "$settings")"
# runc, for crun refuses the mixed cgroups that a Docker engine makes; limits that may be set
# without the right to raise one's own.
cat >"$settings" <<CONF
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
CONF

if ! podman image exists "$image"; then
    docker save "$image" | timeout 120 podman load >/dev/null
fi
timeout 60 podman run --rm --network host "$image" true
echo "podman: $(podman --version), has $image"
