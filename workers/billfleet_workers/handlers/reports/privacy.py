"""Hides groups of few customers, so that no report tells what one of them did (R78). Pure.

A group that is hidden alone could be had by subtraction from what all groups add up to, so groups
are hidden, smallest first, until those that are hidden are enough people together.
"""

from collections.abc import Sequence


def hidden(customers: Sequence[int], group_min: int) -> list[bool]:
    """Which groups must be hidden; groups of nobody tell nothing and stay."""
    hide = [0 < count < group_min for count in customers]
    if not any(hide):
        return hide
    by_size = sorted((count, place) for place, count in enumerate(customers) if count)
    for _, place in by_size:
        together = sum(count for count, away in zip(customers, hide, strict=True) if away)
        if together >= group_min and sum(hide) > 1:
            break
        hide[place] = True
    return hide
