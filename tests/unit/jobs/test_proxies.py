"""The gateway and served models are asked without a proxy."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.demo.server import serve
from snakeval.jobs.proxies import bypass
from support.asking import Asking

GATEWAY = "http://127.0.0.1:1234/token/m/v1/chat/completions"
PROXY = {"http_proxy": "http://proxy:3128"}


def both(listed: str) -> dict[str, str]:
    return {"no_proxy": listed, "NO_PROXY": listed}


@pytest.mark.parametrize(
    ("variables", "listed"),
    [
        (PROXY, "127.0.0.1"),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "127.0.0.1"),
        ({"ALL_PROXY": "socks5://proxy"}, "127.0.0.1"),
        (PROXY | {"no_proxy": "a.org, b.org"}, "a.org,b.org,127.0.0.1"),
        (PROXY | {"NO_PROXY": "a.org"}, "a.org,127.0.0.1"),
        (PROXY | {"NO_PROXY": "127.0.0.1"}, "127.0.0.1"),
        (PROXY | {"NO_PROXY": "*"}, "*,127.0.0.1"),
    ],
)
def test_the_gateway_joins_the_hosts_without_a_proxy(
    variables: dict[str, str], listed: str
) -> None:
    assert bypass(variables, [GATEWAY, GATEWAY]) == both(listed)


def test_each_spelling_keeps_its_own_hosts() -> None:
    found = bypass(PROXY | {"no_proxy": "a.org", "NO_PROXY": "b.org"}, [GATEWAY])
    assert found == {"no_proxy": "a.org,127.0.0.1", "NO_PROXY": "b.org,127.0.0.1"}


@pytest.mark.parametrize("variables", [{}, {"http_proxy": ""}, {"NO_PROXY": "a.org"}])
def test_without_a_proxy_no_variable_is_set(variables: dict[str, str]) -> None:
    assert bypass(variables, [GATEWAY]) == {}


def test_without_anything_that_snakeval_serves_no_variable_is_set() -> None:
    assert bypass(PROXY, []) == {}


@pytest.mark.usefixtures("in_this_process")
def test_a_harness_asks_the_gateway_without_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with serve() as server:
        # The gateway itself asks the endpoint, at its port alone, without the proxy.
        monkeypatch.setenv("no_proxy", server.url.removeprefix("http://"))
        assert Asking(tmp_path, server.url)() == (0, "")
        assert server.stats()["requests"] == 3
