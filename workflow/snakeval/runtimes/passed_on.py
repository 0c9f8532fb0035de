"""Which variables of this machine harnesses and servers get, and which a process must not see.

The rule is one for all runtimes: :func:`passed_on` and :func:`folders` say what everything gets. A
container gets nothing else that the configuration does not name. A process inherits the variables
of the job, except :func:`withheld`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urlsplit

from snakeval.errors import EvaluationError, holds_token
from snakeval.files import make_directory
from snakeval.runtimes.spec import Mount

#: Variables of Hugging Face's libraries: the token, the address of the hub, and whether to ask it.
_HUB = re.compile(r"HF_TOKEN|HF_ENDPOINT|HF_HUB_OFFLINE|HF_DATASETS_\w+")
_PROXY = re.compile(r"(http|https|all|no)_proxy|(HTTP|HTTPS|ALL|NO)_PROXY")
#: The variables whose value is a directory that a container gets as a mount.
_FOLDER = re.compile(r"HF_HOME|HF_HUB_CACHE|HF_DATASETS_\w*(CACHE|PATH)")
#: The parent of these directories in a container.
_FOLDERS = "/mnt/snakeval"
_LOCAL = ("localhost", "127.0.0.1", "::1")

#: Names of variables that hold a secret: a word of the name says it.
_SECRET = re.compile(
    r"(^|_)(API_?)?(KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|JWT)S?(_|\d|$)|APIKEY",
    re.IGNORECASE,
)
#: Variables that each process requires, also if it inherits only a list.
_NEEDED = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TERM", "TMPDIR",
    "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "SSL_CERT_*", "REQUESTS_CA_BUNDLE", "SNAKEVAL_*",
    "XDG_CACHE_HOME",
)  # fmt: skip
#: Stands for all variables that hold no secret.
EVERYTHING = ("*",)


def passed_on(
    there: Mapping[str, str], taken: Collection[str] = (), *, bridged: bool = False
) -> dict[str, str]:
    """Return the variables of *there* that harnesses and servers get: name in it -> name here.

    The configuration sets those that are *taken* itself. A container that is *bridged* cannot reach
    a proxy on this machine's loopback.
    """
    return {
        name: name
        for name, value in there.items()
        if name not in taken
        and (_is_hub(name) or (_PROXY.fullmatch(name) and not (bridged and _is_local(value))))
    }


def _is_hub(name: str) -> bool:
    return _HUB.fullmatch(name) is not None and _FOLDER.fullmatch(name) is None


def _is_local(value: str) -> bool:
    address = value if "://" in value else f"//{value}"
    return urlsplit(address).hostname in _LOCAL


def is_optional(name: str) -> bool:
    """Whether a variable is one of the rule, so that a script works without it."""
    return _HUB.fullmatch(name) is not None or _PROXY.fullmatch(name) is not None


def folders(
    there: Mapping[str, str], taken: Collection[str] = ()
) -> tuple[list[Mount], dict[str, str]]:
    """Return the mounts and the variables of a container for the hub's directories of *there*.

    Raises:
        EvaluationError: such a directory does not exist and cannot be created.
    """
    mounts, env = [], {}
    for name, value in sorted(there.items()):
        if name in taken or not _FOLDER.fullmatch(name) or not value.startswith("/"):
            continue
        try:
            make_directory(Path(value))
        except OSError as error:
            raise EvaluationError(
                f"${name}: {value} cannot be created ({error.strerror})",
                hint="unset the variable, or name another directory",
            ) from None
        env[name] = f"{_FOLDERS}/{name.lower()}"
        mounts.append(Mount(os.path.realpath(value), env[name], read_only=False))
    return mounts, env


def withheld(
    there: Mapping[str, str],
    keys: Iterable[str] = (),
    own: Collection[str] = (),
    inherit: Collection[str] = EVERYTHING,
) -> frozenset[str]:
    """Return the variables of *there* that a harness without a container does not inherit.

    These are secrets by their name or value, and *keys*, those of the run's models; not *own*, the
    keys of the models that it asks itself. *inherit* lists what it inherits, by name or shell
    pattern; only a name lets a secret through.
    """
    others = set(keys)

    def stays(name: str, value: str) -> bool:
        if name in own or name in inherit or is_optional(name) or _FOLDER.fullmatch(name):
            return True
        if name in others or _SECRET.search(name) or holds_token(value):
            return False
        return any(fnmatchcase(name, pattern) for pattern in (*_NEEDED, *inherit))

    return frozenset(name for name, value in there.items() if not stays(name, value))
