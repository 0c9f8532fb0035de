"""The address of this machine that containers can reach."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from snakeval.runtimes import addresses


def test_the_address_is_one_that_this_machine_can_listen_on() -> None:
    found = addresses.default_address()
    assert not ipaddress.ip_address(found).is_unspecified
    with socket.socket() as listening:
        listening.bind((found, 0))


def test_without_a_route_it_is_the_loopback_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_ELSEWHERE", ("255.255.255.255", 9))  # needs a permission
    assert addresses.default_address() == "127.0.0.1"
