"""Which texts hold a token of a known service or a password, and how an error hides it."""

from __future__ import annotations

import pytest

from snakeval.errors import ConfigError, EvaluationError, Problem, holds_password, holds_token
from snakeval.ledger.plain_text import without_tokens

TOKENS = [
    "hf_aBcDeFgHiJkLmNoPqRsTuVwXyZ01234567",
    "sk-proj-A1b2C3d4E5f6G7h8A1b2C3d4E5f6G7h8",
    "sk-ant-api03-aB3-xY_9aB3-xY_9aB3-xY_9",
    "nvapi-Zq9_x-Kp3Zq9_x-Kp3Zq9_x-Kp3",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "github_pat_11ABCDEFG0aB3dE6aB3dE6aB3dE6",
    "glpat-aB3dE6hI9kL2mN5pQ8rS",
    "xoxb-123456789012-1234567890123-aB3dE6hI9kL2",
    "AKIAIOSFODNN7EXAMPLE",
    "AIzaSyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
    "gsk_aB3dE6hI9kL2mN5pQ8rSaB3dE6hI9kL2",
    "pplx-aB3dE6hI9kL2aB3dE6hI9kL2",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dBjftJeZ4CVP-mB92K27uhbU",
]
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----"
PLAIN = [
    "-----BEGIN CERTIFICATE-----",
    "hf_token",
    "HF_TOKEN",
    "meta-llama/Llama-3.1-8B-Instruct",
    "sk-learn-multi-class-2-models-of-mine",
    "disk-0123456789abcdef0123456789",
    "nvidia/nemotron-4-340b-instruct",
    "gsk_of_a_long_name_with_words",
    "2e237893",
    "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3",
    "registry.example.com/tools@sha256:" + "0123456789abcdef" * 4,
]


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "Bearer {}",
        "Bearer{}",
        "bearer%20{}",
        r"a\n{}",
        "--key={}",
        "https://h/{}/v1",
        "['{}']",
    ],
)
def test_a_token_is_found_anywhere_and_hidden(token: str, text: str) -> None:
    whole = text.format(token)
    assert holds_token(whole)
    assert without_tokens(whole) == text.format("***")


def test_a_private_key_is_found_and_hidden_with_its_lines() -> None:
    for key in (KEY, KEY.replace("OPENSSH ", ""), KEY.replace("OPENSSH", "RSA")):
        assert holds_token(f"a {key} b")
        assert without_tokens(f"a {key} b") == "a *** b"
    assert without_tokens(f"a {KEY[:50]}") == "a ***", "a message was cut within the key"


@pytest.mark.parametrize("text", PLAIN)
def test_a_usual_text_holds_no_token(text: str) -> None:
    assert not holds_token(text)
    assert without_tokens(text) == text


def test_a_password_in_a_url_is_found_unless_a_template_fills_it_in() -> None:
    assert holds_password("pip --index-url https://me:pass-word@host/simple")
    assert without_tokens("https://me:pass-word@host/x") == "https://me:***@host/x"
    for text in (
        "http://h:8000/v1",
        "http://u:$P@h",
        "http://u:{{ p }}@h",
        "git@h:x",
        "http://u@h",
    ):
        assert not holds_password(text)
        assert without_tokens(text) == text


@pytest.mark.parametrize("token", TOKENS)
def test_no_error_repeats_a_token(token: str) -> None:
    assert token not in str(Problem(f"unknown key '{token}'", token, token))
    assert token not in str(ConfigError(f"no file {token}.yaml"))
    assert token not in str(ConfigError("no", where=token).within(token))
    reason = EvaluationError(f"401 for {token}", where=token, hint=token)
    assert token not in f"{reason}{reason.problem}{reason.where}{reason.hint}"
