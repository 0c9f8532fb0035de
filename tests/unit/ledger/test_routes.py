"""Tests of addresses, and of when a proxy is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.ledger.routes import BadRoute, Origin, origin_of, proxy_for, route_to, tls_context

PROXY = "http://proxy:3128"


@pytest.mark.parametrize(
    ("url", "origin", "authority"),
    [
        ("http://a/v1", Origin("http", "a", 80), "a"),
        ("https://a:444/v1", Origin("https", "a", 444), "a:444"),
        ("http://[::1]:8000/v1", Origin("http", "::1", 8000), "[::1]:8000"),
        ("https://[::1]/v1", Origin("https", "::1", 443), "[::1]"),
        ("http+unix://%2Frun%2Fx/v1", Origin("http", "localhost", 80, "/run/x"), "localhost"),
    ],
)
def test_the_origin_of_a_url(url: str, origin: Origin, authority: str) -> None:
    assert origin_of(url) == origin
    assert origin.authority == authority


@pytest.mark.parametrize("url", ["ftp://a/", "a/v1", "http:///v1", "http://a:x/", "http://[::1/"])
def test_another_url_is_an_error(url: str) -> None:
    with pytest.raises(BadRoute):
        origin_of(url)


@pytest.mark.parametrize(
    ("bypass", "host", "asked"),
    [
        ("", "llm.corp", True),
        ("llm.corp", "llm.corp", False),
        (".corp", "llm.corp", False),
        ("corp", "llm.corp", False),
        ("*.corp", "llm.corp", False),
        ("*", "llm.corp", False),
        ("orp", "llm.corp", True),
        ("other, LLM.corp", "llm.corp", False),
        ("llm.corp:80", "llm.corp", False),
        ("llm.corp:81", "llm.corp", True),
        ("10.0.0.0/8", "10.1.2.3", False),
        ("10.0.0.0/8", "11.1.2.3", True),
        ("::1", "::1", False),
        ("[::1]:80", "::1", False),
        ("fd00::/8", "fd00::2", False),
    ],
)
def test_no_proxy(bypass: str, host: str, asked: bool) -> None:
    origin = Origin("http", host, 80)
    for name in ("no_proxy", "NO_PROXY"):
        found = proxy_for(origin, None, {"http_proxy": PROXY, name: bypass})
        assert found == (PROXY if asked else "")


def test_each_scheme_has_a_proxy_of_its_own() -> None:
    environment = {"http_proxy": "http://plain", "HTTPS_PROXY": "http://secure"}
    assert proxy_for(Origin("http", "a", 80), None, environment) == "http://plain"
    assert proxy_for(Origin("https", "a", 443), None, environment) == "http://secure"
    assert proxy_for(Origin("https", "a", 443), None, {"ALL_PROXY": PROXY}) == PROXY


def test_the_configuration_decides_before_the_environment() -> None:
    environment = {"http_proxy": PROXY, "no_proxy": "*"}
    assert proxy_for(Origin("http", "a", 80), "http://other", environment) == "http://other"
    assert route_to("http://a/", {"proxy": False}, {"http_proxy": PROXY}).proxy is None


@pytest.mark.parametrize("options", [{"verify": "/none.pem"}, {"cert": "/none.pem"}])
def test_a_certificate_that_cannot_be_read_is_named(options: dict[str, str]) -> None:
    with pytest.raises(BadRoute, match=r"/none\.pem"):
        tls_context(options)


def test_a_folder_of_certificates(tmp_path: Path) -> None:
    assert tls_context({"verify": str(tmp_path)}).check_hostname
