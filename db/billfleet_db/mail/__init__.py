"""Mails in the database: the mails themselves, requests for them, and who gets none.

The door of the aggregate; callers import its modules from here. It knows rows, not templates,
and not the mail service.
"""

from billfleet_db.mail import feedback, mails, policies, recipients, requests, suppressions
from billfleet_db.mail.mails import Mail, MailState, NewMail
from billfleet_db.mail.recipients import Contact, RecipientKind, RecipientRow
from billfleet_db.mail.requests import NewRequest, Request, RequestState
from billfleet_db.mail.suppressions import Suppression, SuppressionReason

__all__ = [
    "Contact",
    "Mail",
    "MailState",
    "NewMail",
    "NewRequest",
    "RecipientKind",
    "RecipientRow",
    "Request",
    "RequestState",
    "Suppression",
    "SuppressionReason",
    "feedback",
    "mails",
    "policies",
    "recipients",
    "requests",
    "suppressions",
]
