"""Transports files by a bucket with presigned URLs: jobs need curl or Python, but no credentials.

A URL is valid for one object and for seven days, which is S3's maximum. Credentials that expire
earlier shorten this. A reader of the job's definition can use the URLs.
"""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

from snakemake_executor_plugin_lepton.errors import TransportError
from snakemake_executor_plugin_lepton.libraries import BOTO3, cannot_import
from snakemake_executor_plugin_lepton.receipt import Receipt
from snakemake_executor_plugin_lepton.transport import Place, Shipment

try:
    import boto3
    from boto3.exceptions import Boto3Error
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
except ModuleNotFoundError as error:
    raise TransportError(cannot_import("The transport s3", BOTO3, error)) from error

_LIFETIME = 7 * 24 * 3600
_ERRORS = (Boto3Error, BotoCoreError, ClientError)

# Five tries each. The wget of busybox can download files, but not upload them.
_TOOLS = """\
bring() {
    if command -v curl >/dev/null 2>&1; then curl -fsS -o "$2" "$1"
    elif command -v python3 >/dev/null 2>&1; then python3 -c '
import shutil, sys, urllib.request as u
with u.urlopen(sys.argv[1]) as i, open(sys.argv[2], "wb") as o: shutil.copyfileobj(i, o)' "$1" "$2"
    else wget -q -O "$2" "$1"; fi
}
put() {
    if command -v curl >/dev/null 2>&1; then curl -fsS -o /dev/null -T "$2" "$1"
    elif command -v python3 >/dev/null 2>&1; then python3 -c '
import os, sys, urllib.request as u
with open(sys.argv[2], "rb") as f:
    h = {"Content-Length": str(os.path.getsize(sys.argv[2])), "Content-Type": ""}
    u.urlopen(u.Request(sys.argv[1], data=f, headers=h, method="PUT")).close()' "$1" "$2"
    else say "this image has neither curl nor python3 to send files with"; return 2; fi
}
stubbornly() {
    for pause in 1 2 5 10 0; do
        "$@" && return 0
        [ $? = 2 ] && return 2
        sleep "$pause"
    done
    return 1
}
"""

_FETCH = """\
if ! { stubbornly bring "$SNAKEMAKE_IN" "$box/in.tgz" && tar -C / -xzf "$box/in.tgz"; }; then
    say "cannot get the input files"; unpacked=0
fi
"""

_SEND = """\
echo "$receipt" >"$box/receipt"
if ! { { [ "$size" = 0 ] || stubbornly put "$SNAKEMAKE_OUT" "$box/out.tgz"; } &&
    stubbornly put "$SNAKEMAKE_RECEIPT" "$box/receipt"; }; then
    say "cannot send the files back"; code=1
fi
"""


class S3Transport:
    """Transports files by ``s3://BUCKET/PREFIX``."""

    def __init__(self, prefix: str, endpoint_url: str | None) -> None:
        found = re.fullmatch(r"s3://([^/]+)(?:/(.*))?", prefix.rstrip("/"))
        if not found:
            raise TransportError(f"--lepton-s3-prefix {prefix} is not s3://BUCKET/PREFIX.")
        self._bucket = found[1]
        self._prefix = (found[2] + "/") if found[2] else ""
        # Every S3 service supports signature 4. By path: bucket names may have no host name.
        style = {"addressing_style": "path"} if endpoint_url else {}
        config = Config(signature_version="s3v4", s3=style, retries={"max_attempts": 6})
        self._s3: Any = boto3.client("s3", endpoint_url=endpoint_url, config=config)

    def check(self) -> None:
        """Try to write an object, and to remove it."""
        key = f"{self._prefix}check-{uuid.uuid4()}"
        try:
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=b"")
            self._s3.delete_object(Bucket=self._bucket, Key=key)
        except _ERRORS as error:
            raise TransportError(
                f"s3://{self._bucket}/{self._prefix} cannot be written: {error}. See "
                "--lepton-s3-prefix, --lepton-s3-endpoint-url and your AWS credentials."
            ) from None

    limits = ""
    input_cap = 0

    def ship(self, key: str, archive: Path | None, choice: object = None) -> Shipment:
        """Upload the inputs, and sign the URLs."""
        self.clear(key)
        env = {
            "SNAKEMAKE_OUT": self._sign("put_object", key, "out.tgz"),
            "SNAKEMAKE_RECEIPT": self._sign("put_object", key, "receipt"),
        }
        if archive is None:
            return Shipment(_TOOLS, _SEND, env)
        try:
            self._s3.upload_file(str(archive), self._bucket, self._name(key, "in.tgz"))
        except _ERRORS as error:
            raise TransportError(f"cannot send the input files: {error}") from None
        env["SNAKEMAKE_IN"] = self._sign("get_object", key, "in.tgz")
        return Shipment(_TOOLS + _FETCH, _SEND, env)

    def receipt(self, place: Place) -> Receipt | None:
        """Read the receipt, which the job writes last."""
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=self._name(place.key, "receipt"))
            return Receipt.parse(answer["Body"].read().decode())
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise TransportError(f"cannot read the job's receipt: {error}") from None
        except BotoCoreError as error:
            raise TransportError(f"cannot read the job's receipt: {error}") from None

    def fetch(self, place: Place, receipt: Receipt, target: Path) -> None:
        """Download the archive."""
        try:
            self._s3.download_file(self._bucket, self._name(place.key, "out.tgz"), str(target))
        except _ERRORS as error:
            raise TransportError(f"cannot bring back what the job sent: {error}") from None

    def clear(self, key: str) -> None:
        """Remove the objects of the attempt."""
        names = [{"Key": self._name(key, part)} for part in ("in.tgz", "out.tgz", "receipt")]
        try:
            self._s3.delete_objects(Bucket=self._bucket, Delete={"Objects": names, "Quiet": True})
        except _ERRORS as error:
            raise TransportError(f"cannot remove objects in {self._bucket}: {error}") from None

    def _name(self, key: str, part: str) -> str:
        return f"{self._prefix}{key}/{part}"

    def _sign(self, method: str, key: str, part: str) -> str:
        where = {"Bucket": self._bucket, "Key": self._name(key, part)}
        return str(self._s3.generate_presigned_url(method, Params=where, ExpiresIn=_LIFETIME))
