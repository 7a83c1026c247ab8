"""Token buckets of the front door: a burst, a rate, and debts for what went on at the same time."""

from billfleet_gateway.buckets import Buckets


def test_bucket_gives_a_burst_and_then_its_rate() -> None:
    buckets = Buckets(2.0, 3)
    assert [buckets.take("a", 0.0) for _ in range(5)] == [0.0, 0.0, 0.0, 0.5, 0.5]
    assert buckets.take("b", 0.0) == 0.0
    assert buckets.take("a", 0.5) == 0.0


def test_looking_at_a_bucket_takes_nothing() -> None:
    buckets = Buckets(1.0, 1)
    assert buckets.wait_s("a", 0.0) == buckets.wait_s("a", 0.0) == 0.0
    buckets.take("a", 0.0)
    assert buckets.wait_s("a", 0.0) == 1.0
    assert buckets.wait_s("a", 1.0) == 0.0


def test_many_at_once_who_all_found_the_bucket_full_are_paid_for_later() -> None:
    """Else each new token would let as many in as there are connections."""
    buckets = Buckets(1.0, 4, debt_max=10)
    assert [buckets.wait_s("a", 0.0) for _ in range(8)] == [0.0] * 8
    for _ in range(8):
        buckets.take("a", 0.0)
    assert buckets.wait_s("a", 0.0) == 5.0
    for _ in range(100):
        buckets.take("a", 0.0)
    assert buckets.wait_s("a", 0.0) == 11.0
