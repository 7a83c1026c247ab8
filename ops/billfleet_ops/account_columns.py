"""The columns of an account file: what each means, and how a row becomes a staged account.

`csv_import` parses every row with it and the commands print `COLUMNS` as help. It turns text
into one staged row or into problems; it knows no file and no database.
"""

from calendar import monthrange
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeVar

from billfleet_db.importing import StagedAccount
from billfleet_ops import account_values as values
from billfleet_ops.account_values import STATES, Unfit

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Column:
    """One of our columns. Without a default it must be in the file or given with --set."""

    name: str
    meaning: str
    default: str | None
    also_called: tuple[str, ...] = ()


COLUMNS: Final = (
    Column(
        "account_id",
        "Letters, digits and . _ : -, at most 64. Unique within the tenant.",
        None,
        ("customer_id", "customer", "id", "account", "account_number", "user_id"),
    ),
    Column("name", "The customer's name.", "the account_id", ("customer_name", "full_name")),
    Column("email", "Where bills are sent.", "none", ("email_address", "mail", "e_mail")),
    Column("locale", "Such as en-US or de.", "en-US", ("language",)),
    Column("plan", "A plan of the tenant; created if new.", "none", ("plan_id", "product")),
    Column(
        "amount",
        "Charged every interval: a plain decimal such as 29.85.",
        "the plan's",
        ("monthly_charges", "price", "charge", "fee", "monthly_amount", "monthly_charges_usd"),
    ),
    Column("currency", "ISO 4217, such as USD.", None, ("ccy", "currency_code")),
    Column(
        "interval_months", "1 to 120 months between charges.", "the plan's, or 1", ("interval",)
    ),
    Column(
        "commitment_months",
        "A number, or Month-to-month, One year, Two year.",
        "1",
        ("contract", "commitment", "term"),
    ),
    Column(
        "anchor_day",
        "1 to 31: the day of the month; short months use their last.",
        "the day of rebilling_date",
        ("billing_day", "bill_cycle_day"),
    ),
    Column("time_zone", "IANA, such as Europe/Paris.", "UTC", ("timezone", "tz", "zone")),
    Column(
        "rebilling_date",
        "First day of the next period to bill: 2026-01-31.",
        None,
        ("next_billing_date", "due_date", "next_invoice_date", "start_date", "billing_date"),
    ),
    Column("state", ", ".join(STATES) + ".", "ACTIVE", ("status",)),
    Column("payment_method", "The gateway's token or name for it.", "none", ("card_token",)),
)
NAMES: Final = tuple(column.name for column in COLUMNS)
REQUIRED: Final = ("account_id", "amount", "currency", "rebilling_date")
"""`amount` may be left out when `plan` is there."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one row."""

    line: int
    column: str
    reason: str


def parse_row(line: int, texts: Mapping[str, str]) -> StagedAccount | list[Problem]:
    """Turn one row (our column name → text) into a staged account, or say all that is wrong."""
    cells = _Cells(line, texts)
    account_id = cells.take("account_id", values.account_id, "")
    plan_id = cells.take("plan", values.plan, None)
    currency = cells.take("currency", values.currency, "")
    amount_minor = None
    if currency and not (plan_id and cells.is_empty("amount")):
        amount_minor = cells.take("amount", lambda text: values.amount_minor(text, currency), None)
    due_on = cells.take("rebilling_date", values.rebilling_date, date.min)
    anchor_day = cells.take("anchor_day", values.anchor_day, None) or due_on.day
    staged = StagedAccount(
        line=line,
        account_id=account_id,
        name=cells.take("name", values.name, None) or account_id,
        email=cells.take("email", values.email, None),
        locale=cells.take("locale", values.locale, ""),
        plan_id=plan_id,
        amount_minor=amount_minor,
        currency=currency,
        interval_months=cells.take("interval_months", values.interval_months, None),
        commitment_months=cells.take("commitment_months", values.commitment_months, 1),
        anchor_day=anchor_day,
        time_zone=cells.take("time_zone", values.time_zone, ""),
        rebilling_date=due_on,
        state=cells.take("state", values.state, ""),
        payment_method=cells.take("payment_method", values.payment_method, None),
    )
    if not cells.problems:
        cells.problems += _anchor_problem(staged)
    return cells.problems or staged


class _Cells:
    """The cells of one row, and what was found wrong while they were taken."""

    def __init__(self, line: int, texts: Mapping[str, str]) -> None:
        self.problems: list[Problem] = []
        self._line = line
        self._texts = texts

    def is_empty(self, column: str) -> bool:
        return not self._texts.get(column, "").strip()

    def take(self, column: str, parse: Callable[[str], T], otherwise: T) -> T:
        try:
            return parse(self._texts.get(column, "").strip())
        except Unfit as error:
            self.problems.append(Problem(self._line, column, str(error)))
            return otherwise


def _anchor_problem(staged: StagedAccount) -> list[Problem]:
    due_on, anchor_day = staged.rebilling_date, staged.anchor_day
    expected = due_on.replace(day=min(anchor_day, monthrange(due_on.year, due_on.month)[1]))
    if due_on == expected:
        return []
    reason = (
        f"{anchor_day} and rebilling_date {due_on} contradict each other: "
        f"in that month the day would be {expected}"
    )
    return [Problem(staged.line, "anchor_day", reason)]
