"""A filling for each mail template: for tests, the benchmark, and whoever wants to look at them.

`python tests/mail_samples.py FOLDER` writes every template as a page and as text.
"""

import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from billfleet_workers.handlers.email.rendering import Reader, Rendered, render
from billfleet_workers.handlers.email.templates import TEMPLATES

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
READER = Reader("Ada Lovelace", "en-US", "America/Chicago", "North Telecom")
MARKETED = Reader("Ada Lovelace", "de-DE", "Europe/Berlin", "Leihrad", "https://pay.example/u/abc")
LINK = "https://pay.example/f/abc"


def bill(month: int, amount_minor: int, link: str | None = LINK) -> dict[str, Any]:
    first = date(2026, month, 1)
    return {
        "due_on": first,
        "period_start": first,
        "period_end": date(2026, month, 28),
        "amount_minor": amount_minor,
        "currency": "USD",
        "link": link,
    }


SAMPLES: dict[str, dict[str, Any]] = {
    "due_bills": {
        "account_id": "NO-0001",
        "now": NOW,
        "totals": [{"amount_minor": 8897, "currency": "USD"}],
        "bills": [bill(1, 2990), bill(2, 2990), bill(3, 2917, None)],
        "bills_more": 2,
        "links_until": NOW,
    },
    "nothing_due": {"account_id": "NO-0001", "now": NOW},
    "receipt": {
        "account_id": "NO-0001",
        "amount_minor": 2990,
        "currency": "USD",
        "period_start": "2026-02-28",
        "period_end": "2026-03-30",
        "paid_at": NOW,
        "reference": "log_d89a7daf9f8d1d46e31e32e3",
    },
    "payment_failed": {
        "account_id": "NO-0001",
        "amount_minor": 2990,
        "currency": "USD",
        "period_start": "2026-02-28",
        "next_attempt_at": NOW,
    },
    "verification": {
        "code": "493817",
        "link": "https://shop.example/verify?t=abc",
        "expires_in_minutes": 30,
    },
    "password_reset": {"link": "https://shop.example/reset?t=abc", "expires_in_minutes": 30},
    "export_ready": {
        "file_name": "ledger-2026-02.csv",
        "rows": 128311,
        "bytes_count": 14_200_300,
        "link": LINK,
        "link_until": NOW,
    },
    "export_failed": {"reason": "The period has no rows."},
    "report_ready": {
        "title": "Business report, February 2026",
        "first_day": "2026-02-01",
        "last_day": "2026-02-28",
        "link": LINK,
        "link_until": NOW,
    },
    "points_expiring": {"card_id": "CARD-88", "points": 1250, "expires_on": "2026-03-31"},
    "marketing": {
        "headline": "Spring is here: double points in March",
        "body": "From 1 to 31 March every visit earns twice as many points.\n\n"
        "Your card does it by itself; there is nothing to activate.",
        "action": "See how it works",
        "action_url": "https://shop.example/spring",
    },
}


def sample(name: str) -> Rendered:
    """The template as one reader sees it."""
    spec = TEMPLATES[name]
    return render(spec, MARKETED if spec.category == "marketing" else READER, SAMPLES[name])


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in TEMPLATES:
        shown = sample(name)
        (folder / f"{name}.html").write_text(shown.html, "utf-8")
        (folder / f"{name}.txt").write_text(f"{shown.subject}\n\n{shown.text}", "utf-8")
