"""The fleet's mail templates: what each needs, and what kind of mail it is.

`rendering` and the handler read it. The texts lie beside it in `templates/`; a test renders each
and looks for files that nobody names. It must not know recipients.
"""

from dataclasses import dataclass
from typing import Final, Literal

Category = Literal["transactional", "marketing"]


@dataclass(frozen=True, slots=True)
class TemplateSpec:
    """One template.

    `links` are variables that must be web addresses. `secrets` are not written into the copy that
    is kept. `is_public`: a front end may ask for it; the others are made from facts alone.
    """

    name: str
    subject: str
    variables: frozenset[str]
    category: Category = "transactional"
    optional: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()
    secrets: frozenset[str] = frozenset()
    is_public: bool = True


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


TEMPLATES: Final = {
    spec.name: spec
    for spec in (
        TemplateSpec(
            "due_bills",
            "Your open bills: {{ totals | map('money', fmt) | join(', ') }}",
            _names("account_id now totals bills bills_more links_until"),
            is_public=False,
        ),
        TemplateSpec("nothing_due", "Nothing is due", _names("account_id now"), is_public=False),
        TemplateSpec(
            "receipt",
            "Payment received: {{ fmt.money(amount_minor, currency) }}",
            _names("account_id amount_minor currency period_start paid_at"),
            optional=_names("period_end reference"),
        ),
        TemplateSpec(
            "payment_failed",
            "Your payment of {{ fmt.money(amount_minor, currency) }} did not go through",
            _names("account_id amount_minor currency period_start"),
            optional=_names("next_attempt_at"),
        ),
        TemplateSpec(
            "verification",
            "Confirm your address",
            _names("code link expires_in_minutes"),
            links=_names("link"),
            secrets=_names("code link"),
        ),
        TemplateSpec(
            "password_reset",
            "Choose a new password",
            _names("link expires_in_minutes"),
            links=_names("link"),
            secrets=_names("link"),
        ),
        TemplateSpec(
            "export_ready",
            "Your export is ready: {{ file_name }}",
            _names("file_name rows bytes_count link link_until"),
            links=_names("link"),
        ),
        TemplateSpec("export_failed", "Your export could not be made", _names("reason")),
        TemplateSpec(
            "report_ready",
            "{{ title }}",
            _names("title first_day last_day link link_until"),
            links=_names("link"),
        ),
        TemplateSpec(
            "points_expiring",
            "{{ fmt.number(points) }} points end on {{ fmt.day(expires_on) }}",
            _names("card_id points expires_on"),
        ),
        TemplateSpec(
            "marketing",
            "{{ headline }}",
            _names("headline body action action_url"),
            category="marketing",
            links=_names("action_url"),
        ),
    )
}
"""By name."""
