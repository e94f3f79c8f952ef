"""Token buckets, by a clock that moves only when told to."""

from __future__ import annotations

from backend.server.rate import REMEMBERED, Buckets, Rate


class Hand:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def test_a_burst_then_so_many_a_second() -> None:
    hand = Hand()
    buckets = Buckets(Rate(2, 3), hand)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    hand.at += 0.5
    assert buckets.take("a") == 0
    assert buckets.take("a") == 0.5
    hand.at += 100
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_each_has_a_bucket_of_its_own() -> None:
    buckets = Buckets(Rate(1, 1), Hand())
    assert (buckets.take("a"), buckets.take("b")) == (0, 0)
    assert buckets.take("a") == 1


def test_the_memory_is_bounded() -> None:
    buckets = Buckets(Rate(1, 1), Hand())
    for number in range(REMEMBERED + 10):
        buckets.take(str(number))
    assert len(buckets._filled) == REMEMBERED
    assert buckets.take(str(REMEMBERED + 9)) == 1
