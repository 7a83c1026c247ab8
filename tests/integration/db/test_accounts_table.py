import pytest
from sqlalchemy import text

from billfleet_db import Database
from billfleet_db.errors import IntegrityRefused

STATES = ["PENDING", "ACTIVE", "PAST_DUE", "INACTIVE"]
REFUSED = {("INACTIVE", "PAST_DUE"), ("INACTIVE", "PENDING")}


async def become(database: Database, state: str) -> None:
    async with database.transaction() as connection:
        await connection.execute(
            text("UPDATE billing.accounts SET state = :state WHERE account_id = 'acc-1'"),
            {"state": state},
        )


@pytest.mark.parametrize("old", STATES)
@pytest.mark.parametrize("new", STATES)
async def test_the_database_allows_exactly_the_legal_state_changes(
    company: Database, old: str, new: str
) -> None:
    """R32: illegal transitions are refused by the database."""
    await become(company, old)
    if (old, new) not in REFUSED:
        await become(company, new)
        return
    with pytest.raises(IntegrityRefused, match="reactivate it first") as refused:
        await become(company, new)
    assert refused.value.constraint == "ck_accounts_state_transition"


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("state = 'GONE'", "ck_accounts_state"),
        ("amount_minor = -1", "ck_accounts_amount_minor"),
        ("currency = 'usd'", "ck_accounts_currency"),
        ("interval_months = 0", "ck_accounts_interval_months"),
        ("interval_months = 121", "ck_accounts_interval_months"),
        ("commitment_months = 0", "ck_accounts_commitment_months"),
        ("anchor_day = 32", "ck_accounts_anchor_day"),
        ("parked_at = now()", "ck_accounts_parked"),
        ("parked_reason = 'x'", "ck_accounts_parked"),
        ("customer_id = 'nobody'", "fk_accounts_customers"),
        ("plan_id = 'none'", "fk_accounts_plans"),
        ("account_id = '-x'", "ck_accounts_account_id"),
        ("time_zone = 'Mars/Olympus'", "ck_accounts_time_zone"),
        ("rebilling_date = NULL", "not_null_rebilling_date"),
    ],
)
async def test_an_account_that_cannot_be_is_refused_by_name(
    company: Database, change: str, constraint: str
) -> None:
    """R5 needs the zone to be one that PostgreSQL can convert to."""
    with pytest.raises(IntegrityRefused) as refused:
        async with company.transaction() as connection:
            await connection.execute(text(f"UPDATE billing.accounts SET {change}"))
    assert refused.value.constraint == constraint
