"""What the stand-ins share: images out of the Docker engine, and a root directory to enter.

They take the place of programs that no package here has, refuse what those would refuse, and then
do the work for real: in mount namespaces, with the image's files as the root. They need root.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

_NEWNS = 0x00020000
NEWIPC, NEWPID = 0x08000000, 0x20000000
_REC, _PRIVATE, _BIND, _RDONLY, _REMOUNT = 0x4000, 1 << 18, 0x1000, 1, 32
_libc = ctypes.CDLL(None, use_errno=True)
#: Where the image's configuration stands in its file.
_CONFIG = ".standin.json"


def record(program: str) -> None:
    """Add this command line to the file that the tests read."""
    if file := os.environ.get("STANDIN_RECORD"):
        with Path(file).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps([program, *sys.argv[1:]]) + "\n")


def save(image: str, target: str, script: str, conclude: Sequence[tuple[str, str]] = ()) -> int:
    """Write the files of a Docker image to *target*, with its entry point as *script*."""
    inspect = ["docker", "inspect", "--type", "image", image]
    found = subprocess.run(inspect, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        print(f"FATAL:   While making image from oci registry: no {image}", file=sys.stderr)
        return 255
    config = json.loads(found.stdout)[0]["Config"]
    made = subprocess.run(
        ["docker", "create", image, "true"], capture_output=True, text=True, check=True
    ).stdout.strip()
    try:
        with Path(target).open("wb") as file:
            subprocess.run(["docker", "export", made], stdout=file, check=True)
    finally:
        subprocess.run(["docker", "rm", made], capture_output=True, check=True)
    entry, command = shlex.join(config["Entrypoint"] or ()), shlex.join(config["Cmd"] or ())
    both = f'if [ $# -gt 0 ]; then exec {entry} "$@"; else exec {entry} {command}; fi\n'
    with tarfile.open(target, "a") as archive:
        for name, text in ((script, both), (_CONFIG, json.dumps(config)), *conclude):
            before = "" if name == _CONFIG else "#!/bin/sh\n"
            before += "[ -s /etc/rc.local ] && . /etc/rc.local\n" if name == "etc/rc" else ""
            content = (before + text).encode()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
    return 0


def enter(image: str, mounts: Sequence[tuple[str, str, bool]], scratch: str = "") -> dict[str, str]:
    """Make *image* this process's root, in a mount namespace of its own; return its variables.

    *mounts* are (source, target, read-only). What is written elsewhere is gone with the process.
    """
    _mount("none", "/", "", _REC | _PRIVATE)
    # One place for all: nobody sees what another mounts on it.
    root = f"{os.environ.get('SNAKEVAL_TESTBED') or '/tmp/snakeval-testbed'}/root"
    Path(root).mkdir(parents=True, exist_ok=True)
    _mount("tmpfs", root, "tmpfs")
    with tarfile.open(image) as archive:
        archive.extractall(root, filter="fully_trusted")
    config: dict[str, Any] = json.loads(Path(root, _CONFIG).read_text())
    for place in ("dev", "proc", "tmp", "var/tmp", "etc"):
        Path(root, place).mkdir(parents=True, exist_ok=True)
    _mount("/dev", f"{root}/dev", "", _BIND | _REC)
    _mount("proc", f"{root}/proc", "proc")
    for place in ("tmp", "var/tmp") if scratch else ():
        Path(scratch, place.replace("/", "_")).mkdir(mode=0o1777, exist_ok=True)
        _mount(f"{scratch}/{place.replace('/', '_')}", f"{root}/{place}", "", _BIND)
    for source, target, read_only in mounts:
        _bind(source, root + target, read_only)
    os.chroot(root)
    return dict(pair.split("=", 1) for pair in config["Env"] or ())


def unshare(flags: int = 0) -> None:
    """Leave the mount namespace, and others by *flags*."""
    _check(_libc.unshare(_NEWNS | flags))


def _bind(source: str, place: str, read_only: bool) -> None:
    target = Path(place)
    if Path(source).is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _mount(source, place, "", _BIND | _REC)
    if read_only:
        _mount("none", place, "", _BIND | _REMOUNT | _RDONLY)


def _mount(source: str, target: str, kind: str, flags: int = 0) -> None:
    _check(_libc.mount(source.encode(), target.encode(), kind.encode(), flags, None))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def refuse(sentence: str, code: int = 255) -> NoReturn:
    """Say what is wrong, as the real one would."""
    print(sentence, file=sys.stderr)
    raise SystemExit(code)
