"""Groups of few customers are hidden, and can't be had by subtraction either."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfleet_workers.handlers.reports.privacy import hidden


@pytest.mark.parametrize(
    ("customers", "expected"),
    [
        ([9, 8, 7], [False, False, False]),
        ([9, 8, 1], [False, True, True]),  # alone, the 1 would be what is missing from the whole
        ([9, 3, 2], [False, True, True]),
        ([9, 2, 1], [True, True, True]),  # 3 people together are still too few
        ([1], [True]),
        ([9, 0, 8], [False, False, False]),
        ([], []),
    ],
)
def test_small_groups_are_hidden_with_enough_others(
    customers: list[int], expected: list[bool]
) -> None:
    """R78"""
    assert hidden(customers, 5) == expected


@given(st.lists(st.integers(0, 30), max_size=12), st.integers(1, 10))
def test_whoever_knows_the_whole_learns_of_no_group_below_the_minimum(
    customers: list[int], group_min: int
) -> None:
    """R78: what is shown is enough people, and so is what is missing, in two groups or more."""
    away = [
        count
        for count, is_away in zip(customers, hidden(customers, group_min), strict=True)
        if is_away
    ]
    shown = [
        count
        for count, is_away in zip(customers, hidden(customers, group_min), strict=True)
        if not is_away
    ]
    assert all(count == 0 or count >= group_min for count in shown)
    everybody_is_away = not any(shown)
    assert not away or everybody_is_away or (len(away) > 1 and sum(away) >= group_min)
