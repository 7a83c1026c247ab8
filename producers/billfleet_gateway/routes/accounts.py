"""Accounts: create one, look at one, ask for its due bills by mail.

Creating is done at once, in the request's transaction; due bills are work for the fleet.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Body, Depends, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import AccountId, AccountState, DueBillsRequested
from billfleet_contracts.fields import DayDate
from billfleet_db import accounts, tenants
from billfleet_db.accounts import Account, NewAccount
from billfleet_db.customers import Customer, add_customers
from billfleet_db.errors import IntegrityRefused
from billfleet_db.ledger import balance_of
from billfleet_gateway.accepting import accept
from billfleet_gateway.answers import Answer, Once, once, shown
from billfleet_gateway.callers import Needs
from billfleet_gateway.credentials import Caller
from billfleet_gateway.door import TheDoor
from billfleet_gateway.fields import (
    AnId,
    Closed,
    Email,
    IsoCurrency,
    Locale,
    Money,
    Name,
    PaymentMethod,
    TimeZone,
    View,
)
from billfleet_gateway.problems import Problem, not_found
from billfleet_gateway.routes.work import WorkAccepted, accepted

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])
Reader = Annotated[Caller, Depends(Needs("accounts:read"))]
Writer = Annotated[Caller, Depends(Needs("accounts:write"))]


class CustomerGiven(Closed):
    """Who is billed. A customer that is known already stays as it is."""

    customer_id: AccountId
    name: Name
    email: Email | None = None
    locale: Locale = "en-US"


class AccountGiven(Closed):
    """A new account. Without a date, billing begins today in the account's zone."""

    account_id: AccountId
    customer: CustomerGiven
    amount_minor: Money
    currency: IsoCurrency
    first_billing_on: DayDate | None = None
    time_zone: TimeZone | None = None
    anchor_day: Annotated[int, Field(ge=1, le=31)] | None = None
    plan_id: AccountId | None = None
    interval_months: Annotated[int, Field(ge=1, le=120)] = 1
    commitment_months: Annotated[int, Field(ge=1, le=600)] = 1
    payment_method: PaymentMethod | None = None


class AccountView(View):
    """An account: what is billed, when next, and what is owed (minor units, by currency)."""

    account_id: str
    customer_id: str
    plan_id: str | None
    state: AccountState
    amount_minor: int
    currency: str
    interval_months: int
    next_billing_on: date
    time_zone: str
    is_parked: bool
    parked_reason: str | None
    past_due_since: datetime | None
    owed_minor: dict[str, int]


class DueBillsAsked(Closed):
    """Ask for a mail of what is due. The same request id is the same request."""

    request_id: AccountId


@router.post("", status_code=201, response_model=AccountView)
async def create_account(
    body: Annotated[AccountGiven, Body()], caller: Writer, asked: Once
) -> Response:
    """Create an account, and its customer if need be."""

    async def create(connection: AsyncConnection) -> Answer:
        tenant = await tenants.get_tenant(connection, caller.tenant)
        if tenant is None:
            raise not_found("tenant")
        customer = body.customer
        new = Customer(
            caller.tenant, customer.customer_id, customer.name, customer.email, customer.locale
        )
        await add_customers(connection, [new])
        account = _new_account(body, body.time_zone or tenant.time_zone, asked.door.now())
        await _insert(connection, caller.tenant, account, asked.door.now())
        created = await _view(connection, caller.tenant, body.account_id)
        return Answer(201, created, f"/v1/accounts/{body.account_id}")

    return await once(asked, caller, create)


@router.get("/{account_id}", response_model=AccountView)
async def get_account(account_id: AnId, caller: Reader, door: TheDoor) -> Response:
    """An account's state, its next date, its plan, and what is owed."""
    async with door.of_tenant(caller.tenant) as connection:
        return shown(await _view(connection, caller.tenant, account_id))


@router.post("/{account_id}/due-bills", status_code=202, response_model=WorkAccepted)
async def ask_for_due_bills(
    account_id: AnId, body: Annotated[DueBillsAsked, Body()], caller: Writer, asked: Once
) -> Response:
    """Mail the account what is due. Within an hour of the last such mail, no second one is sent."""

    async def request(connection: AsyncConnection) -> Answer:
        if await accounts.get(connection, caller.tenant, account_id) is None:
            raise not_found("account")
        event = DueBillsRequested(account_id=account_id, request_id=body.request_id)
        ids, _ = await accept(connection, asked, caller, [event])
        return accepted(ids[0])

    return await once(asked, caller, request)


def _new_account(body: AccountGiven, time_zone: str, now: datetime) -> NewAccount:
    first = body.first_billing_on or now.astimezone(ZoneInfo(time_zone)).date()
    if not date(1900, 1, 1) <= first <= date(2999, 12, 31):
        raise Problem("invalid", "first_billing_on is out of range (1900 to 2999).")
    anchor_day = body.anchor_day or first.day
    if first.day != min(anchor_day, monthrange(first.year, first.month)[1]):
        # The first period would be longer or shorter than the others, at the same price.
        raise Problem(
            "invalid", "first_billing_on (today, if not given) is not the anchor_day of its month."
        )
    return NewAccount(
        account_id=body.account_id,
        customer_id=body.customer.customer_id,
        amount_minor=body.amount_minor,
        currency=body.currency,
        anchor_day=anchor_day,
        time_zone=time_zone,
        rebilling_date=first,
        plan_id=body.plan_id,
        interval_months=body.interval_months,
        commitment_months=body.commitment_months,
        payment_method=body.payment_method,
    )


async def _insert(
    connection: AsyncConnection, tenant: str, account: NewAccount, now: datetime
) -> None:
    try:
        created = await accounts.insert(connection, tenant, [account], now=now)
    except IntegrityRefused as refused:
        if refused.constraint == "fk_accounts_plans":
            raise Problem("invalid", "There is no such plan.") from None
        raise
    if not created:
        raise Problem("conflict", "There is an account with this id already.")


async def _view(connection: AsyncConnection, tenant: str, account_id: str) -> AccountView:
    account = await accounts.get(connection, tenant, account_id)
    if account is None:
        raise not_found("account")
    return _shown(account, await balance_of(connection, tenant, account_id))


def _shown(account: Account, owed: dict[str, int]) -> AccountView:
    return AccountView(
        account_id=account.account_id,
        customer_id=account.customer_id,
        plan_id=account.plan_id,
        state=account.state,
        amount_minor=account.amount_minor,
        currency=account.currency,
        interval_months=account.interval_months,
        next_billing_on=account.rebilling_date,
        time_zone=account.time_zone,
        is_parked=account.parked_at is not None,
        parked_reason=account.parked_reason,
        past_due_since=account.past_due_since,
        owed_minor=owed,
    )
