"""Ids: sortable, and safe as file and ref names."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import backend.server
from backend.errors import BadInput
from backend.ids import asked_id, check_id, ids_of, new_id


def test_fresh_ids_are_usable_and_differ() -> None:
    ids = [new_id() for _ in range(2000)]
    assert len(set(ids)) == len(ids)
    assert all(check_id(text) == text and len(text) == 14 for text in ids)


def test_ids_sort_in_order_of_creation(monkeypatch: pytest.MonkeyPatch) -> None:
    at = 1_700_000_000_000_000_000
    made = []
    for step in range(50):
        monkeypatch.setattr("time.time_ns", lambda step=step: at + step * 1_000_000)
        made.append(new_id())
    assert made == sorted(made)


def test_a_request_makes_the_same_ids_each_time_it_is_done() -> None:
    def made(request: str) -> list[str]:
        with ids_of(request):
            return [asked_id() for _ in range(50)]

    ids = made("k")
    assert ids == made("k")
    assert all(check_id(text) == text and len(text) == 14 for text in ids)
    assert len({*ids, *made("l"), asked_id(), asked_id()}) == 102


def test_ids_of_a_request_end_with_it_and_do_not_mix_with_those_of_another() -> None:
    with ids_of("k"):
        first = asked_id()
        with ids_of("l"):
            inner = asked_id()
        second = asked_id()
    with ids_of("k"):
        assert [asked_id(), asked_id()] == [first, second]
    assert asked_id() not in (first, second, inner)


def test_whatever_a_route_makes_has_an_id_of_its_request() -> None:
    sources = Path(backend.server.__file__).parent.rglob("*.py")
    assert [path.name for path in sources if "new_id" in path.read_text()] == []


@pytest.mark.parametrize("text", ["a", "A-1", "task_7", "v1.2.3", "0" * 64, "a.b_c-d"])
def test_usable_ids_pass(text: str) -> None:
    assert check_id(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "..", "a..b", "-rf", "_x", ".hidden", "a/b", "a b", "a\n", "é", "a.lock", "a.", "0" * 65,
        "a\x00b", "$(x)", "a\u202eb", "١",
    ],
)  # fmt: skip
def test_unusable_ids_are_refused_with_the_rule(text: str) -> None:
    with pytest.raises(BadInput, match="ids are 1 to 64 letters"):
        check_id(text, "task id")


@given(st.text(max_size=70))
def test_whatever_passes_is_a_plain_file_name(text: str) -> None:
    try:
        check_id(text)
    except BadInput:
        return
    assert text.isascii()
    assert "/" not in text
    assert ".." not in text
    assert text[0].isalnum()


def test_git_takes_every_usable_id_as_a_ref() -> None:
    for text in ("a", "v1.2.3", "A-b_c.d", new_id(), "0" * 64):
        done = subprocess.run(
            ["git", "check-ref-format", f"refs/heads/octopoid/{check_id(text)}"], check=False
        )
        assert done.returncode == 0, text
