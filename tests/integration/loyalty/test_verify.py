"""What `billfleet loyalty verify` finds when somebody writes rows that nobody has earned."""

import pytest

from billfleet_db import Database
from loyalty_world import World

GIFT = """
    INSERT INTO loyalty.vouchers (tenant_id, voucher_id, card_id, reward_id, issued_by, stamps,
                                  issued_at)
    SELECT tenant_id, 'gift', card_id, 'coffee', transaction_id, 5, recorded_at
    FROM loyalty.transactions WHERE kind = 'points'
"""
GIVEN_BACK = """
    WITH lot AS (
      UPDATE loyalty.lots SET remaining = remaining + 10, spent = spent - 10
      RETURNING tenant_id, card_id, lot_id)
    INSERT INTO loyalty.movements (tenant_id, card_id, transaction_id, lot_id, kind, quantity,
                                   moved_at)
    SELECT tenant_id, card_id, lot_id, lot_id, 'return', 10, now() FROM lot
"""
NEVER_MOVED = """
    INSERT INTO loyalty.transactions (tenant_id, transaction_id, card_id, programme_id, kind, state,
                                      quantity, request_hash, work_id, occurred_at, recorded_at)
    SELECT tenant_id, 'forged', card_id, programme_id, '{kind}', 'done', 5, '', 'nobody', now(),
           now()
    FROM loyalty.cards
"""


@pytest.fixture
async def clean(database: Database) -> World:
    """A card that has bought, redeemed, cancelled, and filled three stamp cards: one voucher is
    used, one void, one open.
    """
    world = World(database)
    await world.seed()
    await world.buy(150)
    taken = await world.redeem("poster")
    await world.cancel(taken, 30)
    stamped = world.stamping(5)
    await world.handle(stamped)
    await world.handle(world.cancelling(stamped.transaction_id))
    for _ in range(2):
        await world.handle(world.stamping(5))
    await world.redeem("coffee", voucher=True)
    assert await world.verify() == []
    return world


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (GIFT, "vouchers"),
        (
            "UPDATE loyalty.vouchers SET state = 'open', used_by = NULL WHERE state = 'used'",
            "vouchers",
        ),
        ("UPDATE loyalty.vouchers SET state = 'open' WHERE state = 'void'", "vouchers"),
        ("UPDATE loyalty.vouchers SET state = 'void' WHERE state = 'open'", "vouchers"),
        (GIVEN_BACK, "movements"),
        *((NEVER_MOVED.format(kind=kind), "transactions")
          for kind in ("points", "stamps", "redemption", "expiry")),
    ],
)  # fmt: skip
async def test_each_contradiction_in_the_loyalty_books_is_found(
    clean: World, statement: str, found: str
) -> None:
    """R60, R68: also where lots and cards add up."""
    await clean.execute(statement)
    assert [finding.check for finding in await clean.verify()] == [found]
