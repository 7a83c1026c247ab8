"""Is this an address that a mail may go to? Pure.

The handler asks before each sending, since an import may have written anything into the column.
"""

import re
from typing import Final

from email_validator import EmailNotValidError, validate_email

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class AddressRefused(Exception):
    """No mail can go to what is on record: correct the address or the name."""


def checked_address(email: str) -> str:
    """The address as the mail service takes it: ASCII, with the domain in its coded form.

    Raises:
        AddressRefused: it is none, or holds a line break (R54).
    """
    if _CONTROL.search(email):
        raise AddressRefused("the address holds a control character")
    try:
        found = validate_email(
            email, check_deliverability=False, allow_smtputf8=False, globally_deliverable=False
        )
    except EmailNotValidError as error:
        raise AddressRefused(str(error)) from error
    return found.ascii_email or found.normalized


def checked_name(name: str) -> str:
    """The name that stands before an address.

    Raises:
        AddressRefused: it holds a line break, which would begin another header (R54).
    """
    if _CONTROL.search(name):
        raise AddressRefused("the name holds a control character")
    return name
