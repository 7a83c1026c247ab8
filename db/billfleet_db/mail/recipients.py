"""Who a mail goes to, read at the moment of sending: customers, accounts, a tenant's contacts.

The mail worker calls it inside the transaction that prepares the mail, so that the address is the
one on record then and always one of the same tenant (R55). It must not know mails.
"""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

RecipientKind = Literal["customer", "account", "contact"]


@dataclass(frozen=True, slots=True)
class RecipientRow:
    """A person or company as it is on record now. `time_zone` is the account's or tenant's."""

    name: str
    email: str | None
    locale: str
    tenant_name: str
    time_zone: str
    customer_id: str | None


@dataclass(frozen=True, slots=True)
class Contact:
    """A person of a tenant."""

    tenant_id: str
    contact_id: str
    name: str
    email: str
    locale: str = "en-US"


_QUERIES = {
    "customer": text("""
        SELECT c.name, c.email, c.locale, t.name AS tenant_name, t.time_zone, c.customer_id
        FROM customer.customers c JOIN business.tenants t USING (tenant_id)
        WHERE c.tenant_id = :tenant_id AND c.customer_id = :recipient_id
    """),
    "account": text("""
        SELECT c.name, c.email, c.locale, t.name AS tenant_name, a.time_zone, c.customer_id
        FROM billing.accounts a
        JOIN customer.customers c USING (tenant_id, customer_id)
        JOIN business.tenants t USING (tenant_id)
        WHERE a.tenant_id = :tenant_id AND a.account_id = :recipient_id
    """),
    "contact": text("""
        SELECT c.name, c.email, c.locale, t.name AS tenant_name, t.time_zone,
               CAST(NULL AS text) AS customer_id
        FROM business.contacts c JOIN business.tenants t USING (tenant_id)
        WHERE c.tenant_id = :tenant_id AND c.contact_id = :recipient_id
    """),
}
_TENANT = text("SELECT true FROM business.tenants WHERE tenant_id = :tenant_id")
_UPSERT_CONTACT = text("""
    INSERT INTO business.contacts (tenant_id, contact_id, name, email, locale)
    VALUES (:tenant_id, :contact_id, :name, :email, :locale)
    ON CONFLICT (tenant_id, contact_id) DO UPDATE SET
      name = excluded.name, email = excluded.email, locale = excluded.locale
""")
_CONTACTS = text("""
    SELECT tenant_id, contact_id, name, email, locale FROM business.contacts
    WHERE tenant_id = :tenant_id ORDER BY contact_id
""")
_CONSENT = text("""
    SELECT is_given FROM customer.consents
    WHERE tenant_id = :tenant_id AND customer_id = :customer_id AND purpose = :purpose
    ORDER BY decided_at DESC LIMIT 1
""")


async def read(
    connection: AsyncConnection, tenant_id: str, kind: RecipientKind, recipient_id: str
) -> RecipientRow | None:
    """The recipient as it is on record, or None when the tenant has none of that id."""
    found = await connection.execute(
        _QUERIES[kind], {"tenant_id": tenant_id, "recipient_id": recipient_id}
    )
    row = found.mappings().first()
    return RecipientRow(**row) if row else None


async def tenant_exists(connection: AsyncConnection, tenant_id: str) -> bool:
    """Whether mails may be written down for it."""
    return bool((await connection.execute(_TENANT, {"tenant_id": tenant_id})).scalar())


async def upsert_contact(connection: AsyncConnection, contact: Contact) -> None:
    """Create or replace a person of a tenant."""
    await connection.execute(
        _UPSERT_CONTACT,
        {
            "tenant_id": contact.tenant_id,
            "contact_id": contact.contact_id,
            "name": contact.name,
            "email": contact.email,
            "locale": contact.locale,
        },
    )


async def contacts(connection: AsyncConnection, tenant_id: str) -> list[Contact]:
    """The people of a tenant."""
    found = await connection.execute(_CONTACTS, {"tenant_id": tenant_id})
    return [Contact(**row) for row in found.mappings()]


async def has_consent(
    connection: AsyncConnection, tenant_id: str, customer_id: str, purpose: str
) -> bool:
    """Whether the customer's latest decision is a yes."""
    found = await connection.execute(
        _CONSENT, {"tenant_id": tenant_id, "customer_id": customer_id, "purpose": purpose}
    )
    return bool(found.scalar())
