"""Tests of slots and of the keys of requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakeval.ledger.slots import Slots, canonical, key_of, seed_of, stored_request

KEY = b"k" * 16


def test_slots_are_given_in_the_order_of_arrival() -> None:
    slots = Slots()
    assert [slots.take(KEY) for _ in range(3)] == [(0, False), (1, False), (2, False)]
    assert slots.take(b"other") == (0, False)


def test_a_slot_that_is_given_back_is_the_next_one() -> None:
    slots = Slots()
    for _ in range(4):
        slots.take(KEY)
    slots.give_back(KEY, 2)
    slots.give_back(KEY, 1)
    assert [slots.take(KEY) for _ in range(3)] == [(1, True), (2, True), (4, False)]


@given(st.lists(st.booleans(), max_size=60), st.randoms())
def test_a_slot_belongs_to_one_request_at_a_time(steps: list[bool], chance: Any) -> None:
    slots, held = Slots(), []
    for take in steps:
        if take or not held:
            slot, _ = slots.take(KEY)
            assert slot not in held
            held.append(slot)
        else:
            slots.give_back(KEY, held.pop(chance.randrange(len(held))))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_the_form_of_json_does_not_matter_and_its_data_do(data: dict[str, Any]) -> None:
    turned = dict(reversed(list(data.items())))
    loose = json.dumps(turned, indent=2, ensure_ascii=True).encode()
    assert canonical(loose) == canonical(json.dumps(data).encode())
    other = json.dumps({**data, "a new member": 1}).encode()
    assert canonical(other) != canonical(loose)


def test_a_number_in_another_form_is_another_request() -> None:
    assert canonical(b"[1.0]") != canonical(b"[1]")


def test_method_path_and_query_are_in_the_key() -> None:
    keys = {
        key_of(method, target, b"{}")
        for method in ("GET", "POST")
        for target in ("/a", "/b", "/a?x=1", "/a?x=2")
    }
    assert len(keys) == 8


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_bodies_that_are_no_json_differ_in_each_byte(one: bytes, other: bytes) -> None:
    assert (canonical(b"\xff" + one) == canonical(b"\xff" + other)) == (one == other)


def test_a_random_boundary_does_not_make_another_request() -> None:
    def body(boundary: str) -> tuple[bytes, str]:
        text = f"--{boundary}\r\nContent-Disposition: form-data\r\n\r\nx\r\n--{boundary}--\r\n"
        return text.encode(), f'multipart/form-data; charset=utf-8; boundary="{boundary}"'

    assert canonical(*body("a1b2")) == canonical(*body("c3d4"))


@pytest.mark.parametrize(
    ("data", "slot", "seed"),
    [
        ({"seed": 5}, 0, -1),
        ({"seed": 5}, 3, 8),
        ({"seed": 5, "temperature": 0.7}, 1, 6),
        ({"seed": 5, "temperature": 0}, 1, -1),
        ({"seed": 5, "temperature": 0.0}, 1, -1),
        ({"seed": 5, "temperature": None}, 1, 6),
        ({"seed": None}, 1, -1),
        ({"seed": True}, 1, -1),
        ({"seed": "5"}, 1, -1),
        ({"seed": 5, "temperature": "hot"}, 1, 6),
        ({}, 1, -1),
    ],
)
def test_seeds(data: dict[str, Any], slot: int, seed: int) -> None:
    assert seed_of(data, slot) == seed


def test_only_large_bodies_with_images_are_stored_by_their_hash() -> None:
    image = b'{"url": "data:image/png;base64,' + b"A" * 70_000
    assert stored_request(image)[0] == b""
    assert stored_request(image[:1000]) == (image[:1000], "")
    assert stored_request(b"x" * 100_000) == (b"x" * 100_000, "")
