"""The notes of requests that went wrong: bounded, readable, and without secrets."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest

from snakeval.ledger import answers
from snakeval.ledger.client import Call
from snakeval.ledger.faults import MOST, Faults, kind_of, message_of, oddity, readable, said
from snakeval.ledger.outcome import Outcome, problem
from snakeval.ledger.plain_text import one_line
from support.ledger import CHAT, KEY, answer, bed, completion, raw, run, says

JSON = [("Content-Type", "application/json")]
HTML = [("Content-Type", "text/html")]
NGINX = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>nginx</body></html>\r\n"
QUESTION = {"model": "m", "messages": []}
CALL = Call("POST", CHAT + "?api-key=secret", [], b"")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "no room", "code": 529}}, "no room"),
        ({"error": "no"}, "no"),
        ({"object": "error", "message": "bad", "type": "BadRequestError"}, "bad"),
        ({"detail": "Not Found"}, "Not Found"),
        ({"error": {}, "message": "", "title": "Bad"}, "Bad"),
        (
            {"message": {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs"}]}},
            "body.seed: Extra inputs",
        ),
        (
            {"error": {"message": "Provider error", "metadata": {"raw": '{"error":"full"}'}}},
            "Provider error: full",
        ),
        (["one", {"msg": "two"}, "three", "four"], "one; two; three"),
        ({"error": {"message": NGINX}}, "502 Bad Gateway"),
        ({"id": 3}, ""),
        ({"error": True}, ""),
    ],
)
def test_the_message_of_json_is_found(body: Any, message: str) -> None:
    assert said(JSON, json.dumps(body, indent=2).encode())[0] == message


def test_json_that_nests_without_end_has_no_message() -> None:
    body: Any = "deep"
    for _ in range(50):
        body = {"error": body}
    assert message_of(body) == ""


def test_lists_that_nest_without_end_have_no_message() -> None:
    deep = b"[" * 900 + b"]" * 900
    assert said(JSON, deep)[0] == ""
    assert said(JSON, b'{"loc": ["body", %s], "msg": "no"}' % deep)[0] == "body: no"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (NGINX, "502 Bad Gateway"),
        ("<html><body><h1>Sign\n in</h1><p>with</p></body></html>", "Sign in"),
        ("<html><style>p {}</style><body>Sign <b>in</b></body></html>", "Sign in"),
        ("<title></title><H1 class='a'>Sign in</h1>", "Sign in"),
        ("<title>Sign in", "Sign in"),
        ("<script>if (a < b) {}</script ><b>Sign</b> in", "Sign in"),
        ("<p>Sign<script>never closed</p> in", "Sign never closed in"),
        ("Sign in < 3", "Sign in < 3"),
        ("upstream\tis\n away", "upstream is away"),
        ("", ""),
    ],
)
def test_the_message_of_a_page_and_of_text_is_readable(body: str, message: str) -> None:
    assert said(HTML, body.encode())[0] == message
    zipped = [*HTML, ("Content-Encoding", "gzip")]
    assert said(zipped, gzip.compress(body.encode()))[0] == message


@pytest.mark.parametrize(
    "piece", ["<title>", "<title ", "<", "<h1>a", "<script>", "<script></", "</title ", "<b"]
)
def test_no_body_takes_long_to_read(piece: str) -> None:
    text = piece * ((1 << 18) // len(piece))
    before = time.process_time()
    readable(text)
    # In a time that grows with the square of the length, it was half a minute and more.
    assert time.process_time() - before < 5


def test_only_the_beginning_of_a_long_body_is_read() -> None:
    late = "<p>" + " " * (1 << 14) + "<title>late</title>"
    assert said(HTML, late.encode())[0] == said(JSON, json.dumps(late).encode())[0] == ""
    assert one_line("a " * 3000 + "sk-" * 20_000, 1 << 14) == ("a " * 2048)


def test_the_message_of_a_traceback_is_its_last_line() -> None:
    lines = '  File "<string>", line 1, in f\n    call()\n' * 2000
    text = f"Traceback (most recent call last):\n{lines}RuntimeError: out of memory\n"
    for body in (text.encode(), json.dumps({"error": {"message": text}}).encode()):
        assert said([], body)[0] == "RuntimeError: out of memory"
    page = f"<html><head><title>Server Error</title></head><pre>{text[:400]}</pre></html>"
    assert said([], page.encode())[0] == "Server Error"


def test_a_message_of_another_encoding_is_readable() -> None:
    assert said([], "ungültige Größe".encode("latin-1"))[0] == "ungültige Größe"
    assert said([], "ungültige Größe".encode())[0] == "ungültige Größe"
    torn = ("a" + "ü" * 20000).encode()  # the end of what is read is inside of a letter
    assert "ü" in said([], torn)[0]


def test_the_message_of_a_stream_is_that_of_its_error() -> None:
    body = b'data: {"choices": []}\n\ndata: {"error": {"message": "full"}}\n\ndata: [DONE]\n\n'
    assert said([("Content-Type", "text/event-stream")], body)[0] == "full"


def test_a_message_is_short_visible_and_without_tokens() -> None:
    body = {"error": {"message": "\u202ekey sk-ant-api03-AbCdEfGh0123456789xyz " + "is bad " * 99}}
    message, _, _ = said(JSON, json.dumps(body).encode())
    assert message.startswith("‹U+202E›key *** is bad")
    assert len(message) <= 300


def test_parameter_and_code_are_those_of_the_error() -> None:
    error = {"message": "no", "param": "max_tokens", "code": "unsupported_parameter"}
    assert said(JSON, json.dumps({"error": error}).encode())[1:] == (error["param"], error["code"])
    assert said(JSON, b'{"error": {"param": null, "code": 529}}')[1:] == ("", "")
    assert said(JSON, b"[1]")[1:] == ("", "")


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (Outcome(404, "", JSON, b"{}"), "refused"),
        (Outcome(302, "", [("Location", "/login")], b""), "redirect"),
        (Outcome(200, "", HTML, b"Sign in"), "page"),
        (Outcome(200, "", [], b" <!DOCTYPE html>"), "page"),
        (Outcome(200, "", JSON, b'{"choices": []}'), "no choices"),
        (Outcome(200, "", JSON, b"{ab"), "no JSON"),
        (Outcome(200, "", JSON, b""), "nothing"),
        (Outcome(200, "", [("Content-Type", "text/event-stream")], b"data: {}"), "cut"),
        (Outcome(500, "", JSON, b"{}", answers.FAILED), "5xx"),
    ],
)
def test_the_kind_of_a_fault(outcome: Outcome, kind: str) -> None:
    assert kind_of(outcome) == kind


def test_the_note_of_a_redirect_has_no_query() -> None:
    faults = Faults()
    moved = Outcome(302, "", [("Location", "https://login.invalid/?key=abc%2Bdef")], b"")
    faults.note("http://a.invalid", Call("POST", CHAT, [], b""), moved, ended=True)
    assert [each["message"] for each in faults.data()] == ["https://login.invalid/"]


@pytest.mark.parametrize(
    ("headers", "body", "kind"),
    [
        (JSON, json.dumps(completion("4")), ""),
        ([("Content-Type", "text/plain")], json.dumps(completion("4")), "mistyped"),
        ([], json.dumps(completion("4")), "mistyped"),
        (JSON, '{"choices": [{"message": {"content": "4"}}]}', "no index"),
        (JSON, '{"data": []}', ""),
        ([("Content-Type", "audio/mpeg")], '{"choices"', ""),
    ],
)
def test_what_is_odd_in_a_sound_answer(
    headers: list[tuple[str, str]], body: str, kind: str
) -> None:
    assert oddity(headers, body.encode()) == kind


def test_equal_faults_are_one_note_with_its_times() -> None:
    times = iter((10.0, 20.0, 30.04))
    faults = Faults(lambda: next(times))
    for number, ended in ((17, False), (18, False), (19, True)):
        body = {"error": {"message": f"request a1b2c3d{number} failed"}}
        outcome = Outcome(503, "", JSON, json.dumps(body).encode(), answers.BUSY)
        outcome.retry_after = float(number)
        faults.note("http://h", CALL, outcome, ended=ended)
    (note,) = faults.data()
    assert note == {
        "kind": "503",
        "status": 503,
        "asked": f"POST http://h{CHAT}",
        "message": "request a1b2c3d17 failed",
        "param": "",
        "code": "",
        "tries": 3,
        "ended": 1,
        "first": 10.0,
        "last": 30.0,
        "wait": 19.0,
    }


def test_the_number_of_notes_is_bounded_and_no_fault_is_lost() -> None:
    faults = Faults()
    words = ["".join(chr(103 + int(digit)) for digit in str(n)) for n in range(5 * MOST)]
    for word in words:
        outcome = Outcome(400, "", JSON, json.dumps({"error": word}).encode())
        faults.note("http://h", CALL, outcome, ended=True)
    faults.note("http://h", CALL, problem(502, "no connection"), ended=True)
    notes = faults.data()
    assert len(notes) == MOST
    assert sum(note["ended"] for note in notes) == 5 * MOST + 1


def test_a_gateway_notes_tries_and_ends_without_the_key(tmp_path: Path) -> None:
    async def scenario() -> None:
        refused = {"error": {"message": f"Incorrect API key provided: {KEY}."}}
        script = says(answer({"error": {"message": "full"}}), answer(refused, "401 Unauthorized"))
        async with bed(tmp_path, script) as b:
            assert (await b.post(QUESTION, f"{CHAT}?token=x")).status == 401
            url = f"POST http://127.0.0.1:{b.endpoint.port}{CHAT}"
            told = [(n["kind"], n["status"], n["asked"], n["tries"], n["ended"]) for n in notes(b)]
            assert told == [("error", 200, url, 1, 0), ("refused", 401, url, 1, 1)]
            assert notes(b)[1]["message"] == f"Incorrect API key provided: {'*' * len(KEY)}."
            assert b.counts["waiting"] == {}

    run(scenario())


def test_a_gateway_notes_answers_that_some_harnesses_cannot_read_also_from_the_journal(
    tmp_path: Path,
) -> None:
    body = json.dumps(completion("4")).encode()
    script = says(raw("200 OK", ["Content-Type: text/plain", f"Content-Length: {len(body)}"], body))

    async def scenario() -> None:
        for asked in (1, 0):
            async with bed(tmp_path, script) as b:
                assert (await b.post(QUESTION)).status == 200
                assert [(n["kind"], n["ended"]) for n in notes(b)] == [("mistyped", 0)]
                assert len(b.endpoint.asked) == asked

    run(scenario())


def test_a_gateway_says_for_what_its_requests_wait(tmp_path: Path) -> None:
    slow = answer({"error": "slow down"}, "429 Too Many Requests", "Retry-After: 25")

    async def scenario() -> None:
        async with bed(tmp_path, says(slow)) as b:
            await b.hang_up(QUESTION, lambda: bool(b.counts["waiting"]))
            assert b.counts["waiting"] == {"cause": "429", "seconds": 25.0, "requests": 1}
            (note,) = notes(b)
            assert (note["tries"], note["ended"], note["wait"]) == (1, 0, 25.0)

    run(scenario())


def test_a_connection_that_fails_is_noted_without_a_status(tmp_path: Path) -> None:
    async def scenario() -> None:
        url = "http://127.0.0.1:1/v1/chat/completions"
        async with bed(tmp_path, says(b""), url=url, tries=1) as b:
            assert (await b.post(QUESTION)).status == 502
            (note,) = notes(b)
            assert (note["kind"], note["status"]) == ("broken", 0)
            assert note["message"] == "no connection to 127.0.0.1:1 (Connection refused)"

    run(scenario())


def notes(b: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = b.counts["faults"]
    return found
