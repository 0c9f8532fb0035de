"""What went wrong with requests in words, and what to change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snakeval.jobs.fault_words import Asked, words_of
from snakeval.ledger.faults import Fault

ASKED = Asked(
    "gpt", "http://h:1/v1/chat/completions", "chat", "MY_KEY", {}, False, {}, 300, max_new_tokens=64
)
SERVED = replace(ASKED, is_served=True, key="")
URL = "POST http://h:1/v1/chat/completions"


def hint(fault: Fault, asked: Asked = ASKED) -> str:
    return words_of(fault, asked).hint


@pytest.mark.parametrize(
    ("kind", "message", "what", "advice"),
    [
        ("timeout", "no whole answer within 3 s", "no answer within 3 s", "raise request_timeout"),
        (
            "timeout",
            "no connection to h:1 within 15 s",
            "no connection to h:1 within 15 s",
            "check that the server runs, and host and port in endpoint.url",
        ),
        (
            "page",
            "Sign in",
            "the endpoint answers text/html, no JSON",
            "check endpoint.url, and whether a login page or a proxy answers",
        ),
        ("no choices", "", "an answer without choices", "see the endpoint's log"),
        ("no JSON", "{ab", "an answer that is no JSON", "check endpoint.url"),
        ("nothing", "", "an answer without content", "see the endpoint's log"),
        ("cut", "", "a stream without its end", "see the endpoint's log"),
        (
            "mistyped",
            "text/plain",
            "the endpoint sends JSON as text/plain",
            "send it as application/json, then resume with --ask-again all",
        ),
        (
            "no index",
            "",
            "an answer whose choices have no index",
            "send it with each choice",
        ),
        (
            "redirect",
            "http://login",
            "the endpoint redirects to http://login",
            "write the URL of the API in endpoint.url",
        ),
        ("error", "full", "the endpoint reports an error", "see the endpoint's log"),
        ("5xx", "dead", "the endpoint fails", "see the endpoint's log"),
    ],
)
def test_each_kind_has_words(kind: str, message: str, what: str, advice: str) -> None:
    words = words_of(Fault(kind, 200, URL, message), ASKED)
    assert (words.what, words.hint) == (what, advice)
    assert words.message in (message, "")
    assert message in words.what + words.message or kind == "timeout"


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("the proxy answered 407 Proxy Authentication Required to CONNECT h:1", "write user and"),
        ("the proxy answered 403 Forbidden to CONNECT h:1", "allow the host at the proxy, or add"),
        ("no connection to h:1 through the proxy p:3 (Connection refused)", "check HTTP_PROXY"),
        ("no TLS with h:1 (self-signed certificate)", "set SSL_CERT_FILE to the certificates"),
        ("no TLS with h:1 (certificate has expired)", "set SSL_CERT_FILE to the certificates"),
        ("no TLS with h:1 (Hostname mismatch, certificate is not valid)", "write a host name of"),
        ("no TLS with h:1 (WRONG_VERSION_NUMBER)", "write http:// in endpoint.url"),
        ("no connection to h:1 (Name or service not known)", "correct the host in endpoint.url"),
        ("no connection to h:1 (Connection refused)", "check that the server runs, and host and"),
        ("the endpoint closed the connection", "see the endpoint's log"),
        ("the endpoint sent no valid HTTP: no status line", "check scheme and port of endpoint"),
    ],
)
def test_a_connection_that_fails_has_a_hint(message: str, advice: str) -> None:
    words = words_of(Fault("broken", 0, URL, message), ASKED)
    assert words.what == message
    assert words.hint.startswith(advice)


def test_a_served_model_has_hints_of_its_own() -> None:
    fault = Fault("broken", 0, URL, "the endpoint closed the connection")
    assert hint(fault, SERVED) == "see the log of its server"
    message = "Unsupported parameter: 'seed'"
    assert hint(Fault("refused", 400, URL, message), SERVED) == "let the harness send no seed"
    unknown = Fault("refused", 404, URL, "The model `x` does not exist.")
    assert "deployment.served_model_name" in hint(unknown, SERVED)
    assert "deployment.endpoints" in hint(Fault("refused", 404, URL, "Not Found"), SERVED)


@pytest.mark.parametrize(
    ("status", "message", "advice"),
    [
        (
            400,
            "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
            "write endpoint.request: {rename: {max_tokens: max_completion_tokens}}",
        ),
        (500, "Unknown parameter: seed", "write endpoint.request: {drop: [seed]}"),
        (407, "", "write user and password of the proxy in HTTP_PROXY"),
        (402, "pay", "add credit to the account of the key"),
        (
            400,
            "The plain HTTP request was sent to HTTPS port",
            "write https:// in endpoint.url",
        ),
        (
            400,
            "This model's maximum context length is 4096 tokens. However, you requested 5000 "
            "tokens (4968 in the messages, 32 in the completion).",
            "lower params.max_new_tokens (now 64), or serve a longer context",
        ),
        (
            400,
            "'max_tokens' or 'max_completion_tokens' is too large: 9999. This model's maximum "
            "context length is 1024 tokens and your request has 12 input tokens",
            "lower params.max_new_tokens (now 64), or serve a longer context",
        ),
        (
            400,
            "the request exceeds the available context size, try increasing it",
            "lower params.max_new_tokens (now 64), or serve a longer context",
        ),
        (
            404,
            "This is not a chat model and thus not supported in the v1/chat/completions endpoint. "
            "Did you mean to use v1/completions?",
            "write endpoint.type: completions",
        ),
        (
            400,
            "As of transformers v4.44, default chat template is no longer allowed, so you must "
            "provide a chat template",
            "write endpoint.type: completions",
        ),
        (404, "The model `gpt` does not exist.", "correct endpoint.model_id (now gpt)"),
        (
            404,
            "model 'gpt' not found, available models: ['llama', 'qwen']",
            "correct endpoint.model_id (now gpt), for example llama",
        ),
        (404, "Not Found", "check endpoint.url, or write endpoint.type: completions"),
        (413, "", "allow larger requests at the endpoint or its proxy"),
        (400, "bad", "change its requests with endpoint.request"),
        (400, "", "see the endpoint's log"),
        (415, "Unsupported media type", "check endpoint.url and endpoint.type"),
        (403, "Just a moment...", "allow this machine there, or add the host to NO_PROXY"),
        (400, "API key not valid.", "export MY_KEY, which is empty"),
    ],
)
def test_a_refusal_has_a_hint(status: int, message: str, advice: str) -> None:
    assert hint(Fault("refused", status, URL, message)) == advice


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("http://h:1/chat/completions", "write endpoint.url: http://h:1/v1"),
        ("https://h/openai/chat/completions", "write endpoint.url: https://h/openai/v1"),
        ("http://h:1/v1/chat/completions", "check endpoint.url, or write endpoint.type: com"),
        ("http://h:1/other", "check endpoint.url, or write endpoint.type: completions"),
    ],
)
def test_a_404_without_a_version_in_the_url_names_the_url(url: str, advice: str) -> None:
    fault = Fault("refused", 404, URL, "Not Found")
    assert hint(fault, replace(ASKED, url=url)).startswith(advice)


def test_a_completions_model_on_a_chat_model_has_the_other_type() -> None:
    asked = replace(ASKED, type="completions")
    message = "This is a chat model and not supported in the v1/completions endpoint."
    assert hint(Fault("refused", 404, URL, message), asked) == "write endpoint.type: chat"
    assert hint(Fault("refused", 404, URL, "x"), replace(ASKED, type="embedding")) == (
        "check endpoint.url"
    )


def test_a_refused_key_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    fault = Fault("refused", 401, URL, "Incorrect API key")
    monkeypatch.setenv("MY_KEY", "sk-canary")
    words = words_of(fault, ASKED)
    assert (words.what, words.hint) == (
        "the endpoint refuses the key in MY_KEY",
        "correct MY_KEY",
    )
    monkeypatch.delenv("MY_KEY")
    assert hint(fault) == "export MY_KEY, which is empty"
    assert hint(fault, replace(ASKED, key="")) == "set endpoint.api_key_name to its variable"


def test_a_limit_names_the_patience() -> None:
    words = words_of(Fault("429", 429, URL, "slow down", wait=7200.0), ASKED)
    assert words.what == ("the endpoint asks to wait 7200 s, longer than its patience (3600 s)")
    assert words.hint == "raise endpoint.limits.patience"
    own = replace(ASKED, limits={"patience": 10})
    assert "(10 s)" in words_of(Fault("503", 503, URL, "", wait=25.0), own).what
    assert words_of(Fault("429", 429, URL, "x"), ASKED).what == "the endpoint limits requests"
    assert words_of(Fault("503", 503, URL, "x"), ASKED).what == "the endpoint is overloaded"
    used = Fault("429", 429, URL, "You exceeded your current quota", code="insufficient_quota")
    assert hint(used) == "add credit to its account"
