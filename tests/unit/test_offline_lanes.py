"""What may be sent at the same time, and what has to keep its order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backend.offline.lanes import Lanes, Place

TASKS = "abcdef"


def places(*said: str) -> list[Place]:
    """Changes of tasks by name, in the order they were made; one in capitals makes its task."""
    return [Place(f"{number}{name}", name.lower(), name.isupper()) for number, name in enumerate(said)]


def take_all(lanes: Lanes) -> list[str]:
    """Every change that may be on its way now."""
    found = []
    while (place := lanes.take()) is not None:
        found.append(place)
    return [place.id for place in found]


def test_changes_of_different_tasks_go_at_the_same_time_and_of_one_task_in_order() -> None:
    lanes = Lanes(places("a", "b", "a", "b"))
    first, second = lanes.take(), lanes.take()
    assert first is not None
    assert second is not None
    assert (first.id, second.id) == ("0a", "1b")
    assert lanes.take() is None
    lanes.settled(second)
    assert take_all(lanes) == ["3b"]


def test_linked_tasks_keep_their_order() -> None:
    lanes = Lanes(places("a", "b", "c", "d"), [("a", "b"), ("c", "b")])
    assert take_all(lanes) == ["0a", "3d"]


def test_new_tasks_arrive_in_the_order_they_were_made() -> None:
    lanes = Lanes(places("A", "B", "c", "b"))
    (first, other) = (lanes.take(), lanes.take())
    assert first is not None
    assert other is not None
    assert (first.id, other.id) == ("0A", "2c")
    assert lanes.take() is None
    lanes.settled(other)
    assert lanes.take() is None
    lanes.settled(first)
    assert take_all(lanes) == ["1B"]


def test_one_that_the_server_fails_at_holds_up_its_own_lane_alone() -> None:
    lanes = Lanes(places("A", "a", "B", "a"))
    first = lanes.take()
    assert first is not None
    lanes.close(first)
    assert take_all(lanes) == ["2B"]


def test_what_still_fits_is_sent_again_before_what_follows() -> None:
    lanes = Lanes(places("a", "a"))
    first = lanes.take()
    assert first is not None
    lanes.again(first)
    assert take_all(lanes) == ["0a"]


@given(
    st.lists(st.sampled_from(TASKS), max_size=30),
    st.lists(st.tuples(st.sampled_from(TASKS), st.sampled_from(TASKS)), max_size=4),
    st.randoms(use_true_random=False),
)
def test_everything_is_sent_once_and_linked_changes_never_out_of_order(
    names: list[str], links: list[tuple[str, str]], chance: object
) -> None:
    """Whatever is answered first: nothing is forgotten, and nothing overtakes what it is linked with."""
    seen: set[str] = set()
    made = [
        Place(f"{number:02}", name, name not in seen and not seen.add(name))  # type: ignore[func-returns-value]
        for number, name in enumerate(names)
    ]
    lanes, flying, order = Lanes(made, links), [], []
    while True:
        while len(flying) < 3 and (place := lanes.take()) is not None:
            assert place.lane not in {one.lane for one in flying}
            assert sum(one.creates for one in [*flying, place]) <= 1
            flying.append(place)
            order.append(place)
        if not flying:
            break
        done = flying.pop(chance.randrange(len(flying)))  # type: ignore[attr-defined]
        lanes.settled(done)
    assert sorted(place.id for place in order) == [place.id for place in made]
    for lane in {place.lane for place in order}:
        ids = [place.id for place in order if place.lane == lane]
        assert ids == sorted(ids)
    makers = [place.id for place in order if place.creates]
    assert makers == sorted(makers)
    lane_of = {place.task_id: place.lane for place in order}
    assert all(lane_of[one] == lane_of[other] for one, other in links if {one, other} <= lane_of.keys())
