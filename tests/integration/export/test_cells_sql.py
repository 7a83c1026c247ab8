"""Formulas: SQL shields exactly what Python shields."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from billfleet_db import Database
from billfleet_db.cells import SIGNS, SKIPPED, neutralised, neutralised_sql

ALPHABET = SKIPPED + SIGNS + "'\"09azAZ.,;|%\\ \u00e9\u8acb\U0001f600\x7f"
QUERY = f"""
    SELECT {neutralised_sql("value")} AS shielded
    FROM unnest(CAST(:texts AS text[])) WITH ORDINALITY AS given(value, position)
    ORDER BY position
"""


async def test_sql_and_python_agree_on_what_is_a_formula(database: Database) -> None:
    """R79."""
    drawn: list[list[str]] = []

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.one_of(
                st.text(alphabet=ALPHABET, max_size=8),
                st.from_regex(r"-?[0-9]{1,4}(\.[0-9]{0,3})?", fullmatch=True),
                st.text(
                    alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
                    max_size=8,
                ),
            ),
            min_size=20,
            max_size=60,
        )
    )
    def draw(texts: list[str]) -> None:
        drawn.append(texts)

    await asyncio.to_thread(draw)
    every = sorted({one for texts in drawn for one in texts})
    async with database.transaction() as connection:
        rows = await connection.execute(text(QUERY), {"texts": every})
        shielded = [row.shielded for row in rows]
    assert shielded == [neutralised(one) for one in every]
    assert any(one.startswith("'") for one in shielded)
    assert len(every) > 200


async def test_nothing_stays_nothing(database: Database) -> None:
    async with database.transaction() as connection:
        rows = await connection.execute(text(QUERY), {"texts": [None, ""]})
        assert [row.shielded for row in rows] == [None, ""]
