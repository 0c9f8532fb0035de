"""A bucket on a server of this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3

from support.servers import served

_KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "s3cr3t"}


@dataclass(frozen=True)
class Bucket:
    """Where it is, and the variables of its users."""

    url: str
    prefix: str
    variables: dict[str, str]


@contextmanager
def bucket(directory: Path) -> Iterator[Bucket]:
    """Serve a bucket; yield it."""
    command = [sys.executable, "-m", "moto.server", "-p", "{port}"]
    with served(command, "/moto-api/", directory) as url:
        variables = {**_KEYS, "AWS_DEFAULT_REGION": "us-east-1"}
        client = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1",
            aws_access_key_id="key", aws_secret_access_key="s3cr3t",
        )  # fmt: skip
        client.create_bucket(Bucket="bucket")
        yield Bucket(url, "s3://bucket/some/where", variables)
