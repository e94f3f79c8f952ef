"""Places in a machine's log and the server's numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backend.offline.positions import Positions

outages = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), max_size=5)


def test_without_changes_made_here_places_are_the_servers_numbers() -> None:
    positions = Positions()
    assert [positions.here(seq) for seq in (0, 1, 7)] == [0, 1, 7]
    assert [positions.there(place) for place in (0, 1, 7)] == [0, 1, 7]
    assert positions.go_on(7, 7) is positions


def test_changes_made_here_move_the_servers_later_events_on() -> None:
    positions = Positions().go_on(13, 10)  # three were made here after the server's tenth
    assert [positions.here(seq) for seq in (9, 10, 11, 12)] == [9, 10, 14, 15]
    assert [positions.there(place) for place in (9, 10, 11, 13, 14, 15)] == [9, 10, 10, 10, 11, 12]


def test_a_server_that_begins_anew_never_takes_a_place_twice() -> None:
    positions = Positions.anew(500, 2)
    assert [positions.here(seq) for seq in (3, 4)] == [501, 502]
    assert [positions.there(place) for place in (1, 499, 500, 501, 502)] == [2, 2, 2, 3, 4]


@given(outages)
def test_every_place_says_which_of_the_servers_events_come_after_it(gone: list[tuple[int, int]]) -> None:
    positions, seq, place = Positions(), 0, 0
    places: list[tuple[int, int]] = [(0, 0)]
    for online, made_here in gone:
        for _ in range(online):
            seq += 1
            place = positions.here(seq)
            places.append((place, seq))
        for _ in range(made_here):
            place += 1
            places.append((place, seq))
        positions = positions.go_on(place, seq)
    numbers = [number for number, _ in places]
    assert numbers == sorted(set(numbers))
    assert all(positions.there(number) == after for number, after in places)
    assert positions.here(seq + 1) == place + 1
