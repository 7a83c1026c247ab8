"""The bytes of a mail: headers as the mail protocols want them, whatever library wrote them."""

from datetime import UTC, datetime
from uuid import UUID

from billfleet_workers.handlers.email.links import Links
from billfleet_workers.handlers.email.message import Addressing, compose
from mail_samples import sample

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
LINKS = Links("https://billing.shop-with-a-name.example.com", ("a secret of some length",))
ADDRESSING = Addressing("Shop", "news@mail.example", "Ada", "ada@people.example")


def test_the_way_out_stands_in_its_header_as_it_is_however_long() -> None:
    """R52: RFC 2369 knows no encoded words, and mail programs look for `<https:`."""
    url = LINKS.unsubscribe("acme", "customer-4711", NOW)
    assert len(url) > 100
    mail = compose(
        sample("marketing"), ADDRESSING, mail_id=UUID(int=1), now=NOW, unsubscribe_url=url
    )
    head = mail.partition(b"\r\n\r\n")[0].decode("ascii").split("\r\n")
    assert f"List-Unsubscribe: <{url}>" in head
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in head


def test_a_mail_without_a_way_out_has_no_header_for_it() -> None:
    mail = compose(sample("marketing"), ADDRESSING, mail_id=UUID(int=1), now=NOW)
    assert b"List-Unsubscribe" not in mail.partition(b"\r\n\r\n")[0]
