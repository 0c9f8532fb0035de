#!/usr/bin/env bash
# Debian packages that the tests with real parts need, and those of the arguments. Needs root,
# unless all are there already.
set -euo pipefail

packages=(
    # Docker engine; git is here because nobody promises it on a bare machine
    docker.io iptables containerd runc docker-registry
    # images without a registry
    debootstrap busybox-static ca-certificates
    # one address for several servers
    haproxy
    # podman; catatonit is the init of its containers
    podman catatonit
    # a browser, for the report
    chromium chromium-driver fonts-dejavu-core
    # the build itself
    git make shellcheck python3 python3-venv
    "$@"
)

missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    echo "apt: nothing to do"
    exit 0
fi

# A package must not start its service: the tests start and stop their own engine.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi

export DEBIAN_FRONTEND=noninteractive
apt=(timeout 600 apt-get -q -y -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120)
start=$SECONDS
"${apt[@]}" update >/dev/null
"${apt[@]}" install --no-install-recommends "${missing[@]}" >/dev/null
echo "apt: installed ${missing[*]} in $((SECONDS - start)) s"
