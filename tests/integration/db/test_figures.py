from sqlalchemy import text

from billfleet_db import Database
from billfleet_db.figures import books
from billfleet_db.ledger import post_transfers
from ledger_examples import add_bill, charge


async def test_bills_are_summed_in_their_own_currency(company: Database) -> None:
    """An account that changed its currency still owes what it owed in the old one."""
    async with company.transaction() as connection:
        for posted in await post_transfers(connection, [charge("acc-1"), charge("acc-2")]):
            await add_bill(connection, posted.transfer_id)
        await connection.execute(
            text("UPDATE billing.accounts SET currency = 'JPY' WHERE account_id = 'acc-1'")
        )
        found = {(one.tenant_id, one.currency): one for one in await books(connection)}
    acme = found["acme", "USD"]
    assert (acme.accounts, acme.periods, acme.charged_minor, acme.open) == (3, 2, 5970, 2)
    assert set(found) == {("acme", "USD"), ("bolt", "USD"), ("bolt", "JPY")}
