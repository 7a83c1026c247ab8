"""The catalogue: every event type, its model, where it travels and who handles it.

The one place to add an event. Read by the codec, the producer library, the workers and the
schema generator. It must not know a transport, nor what any handler does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from billfleet_contracts.analytics import EventTracked, ReportReady, ReportRequested
from billfleet_contracts.avatars import AvatarReady, AvatarRefused, ObjectStored
from billfleet_contracts.billing import (
    AccountRebilled,
    CollectPayments,
    PaymentFailed,
    PaymentReported,
    PaymentSucceeded,
    RebillAccounts,
)
from billfleet_contracts.errors import UnknownType, UnknownVersion
from billfleet_contracts.event import TYPE_PATTERN, Event
from billfleet_contracts.exports import ExportFailed, ExportReady, ExportRequested
from billfleet_contracts.loyalty import (
    AddPoints,
    CancelTransaction,
    IssueStamps,
    LoyaltyRefused,
    PointsExpired,
    PointsExpiring,
    PointsIssued,
    PointsRedeemed,
    PointsReversed,
    ProjectTransactions,
    RedeemReward,
    SetProgramme,
    StampsIssued,
)
from billfleet_contracts.mail import (
    DueBillsReady,
    DueBillsRequested,
    MailRefused,
    MailSent,
    SendMail,
    SnsNotification,
)
from billfleet_contracts.routes import QueueSpec, Route, Subscription, TopicSpec
from billfleet_contracts.upcasts import Upcast, Upcasts
from billfleet_contracts.webhooks import DeliverWebhook

MAILED_ABOUT: Final = (
    DueBillsReady.TYPE,
    PaymentSucceeded.TYPE,
    PaymentFailed.TYPE,
    PointsExpiring.TYPE,
    ReportReady.TYPE,
    ExportReady.TYPE,
    ExportFailed.TYPE,
)
"""The facts that the mail worker writes about."""

QUEUES: Final[Mapping[str, QueueSpec]] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            QueueSpec(name="rebill", worker="rebill", visibility_timeout_s=60),
            QueueSpec(name="collect", worker="collect", visibility_timeout_s=120),
            # A message is received again whenever one before it in its group comes back, so
            # its attempts are counted in its dedupe record and not by SQS.
            QueueSpec(
                name="loyalty.fifo",
                worker="loyalty-points",
                fifo=True,
                group="subject",
                max_receive_count=1000,
            ),
            # An endpoint may be away for a day: its deliveries are tried that long, and their
            # number is counted in the database and not by the queue.
            QueueSpec(
                name="webhooks",
                worker="webhooks",
                max_receive_count=30,
                retry_cap_s=10 * 3600,
                subscribes=(Subscription("events"),),
            ),
            QueueSpec(name="uploads", worker="avatar", visibility_timeout_s=120, form="s3"),
            QueueSpec(name="analytics", worker="analytics", subscribes=(Subscription("events"),)),
            QueueSpec(name="reports", worker="reports", visibility_timeout_s=300),
            QueueSpec(name="loyalty-view", worker="loyalty-view"),
            QueueSpec(name="due-bills", worker="email-due-bills", visibility_timeout_s=60),
            # Waiting for a turn at the mail service is no failure: a mail may be received often,
            # with waits that outlast a day's quota.
            QueueSpec(
                name="email",
                worker="email",
                visibility_timeout_s=120,
                max_receive_count=20,
                retry_cap_s=2 * 3600,
                subscribes=(Subscription("events", MAILED_ABOUT),),
            ),
            # Waiting for a turn of its tenant is no failure: how often an export was tried is
            # counted in the database. It may take hours; the heartbeat keeps the message hidden.
            QueueSpec(
                name="export",
                worker="export",
                visibility_timeout_s=180,
                max_receive_count=200,
            ),
            QueueSpec(name="mail-feedback", worker="mail-feedback", form="sns"),
        )
    }
)

TOPICS: Final[Mapping[str, TopicSpec]] = MappingProxyType({"events": TopicSpec(name="events")})


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of the catalogue: its model and the queue or topic that carries it.

    `deadline_s` is how long a handler may take for one message; None leaves it to the queue.
    """

    event: type[Event]
    route: Route
    deadline_s: float | None = None

    @property
    def type(self) -> str:
        """The full type with its version."""
        return self.event.TYPE

    @property
    def worker(self) -> str | None:
        """Who handles it; None for a topic, whose subscribers are the stack's matter."""
        return QUEUES[self.route.name].worker if self.route.kind == "queue" else None


class Catalogue(Mapping[str, Entry]):
    """Entries by full type, with the upcasts that lead to them.

    Raises:
        ValueError: a type is malformed or listed twice, or a chain of upcasts ends in a type
            that is not in the catalogue, or starts from one that is. Found at import.
    """

    def __init__(self, entries: Iterable[Entry], upcasts: Iterable[Upcast] = ()) -> None:
        self._entries: dict[str, Entry] = {}
        for entry in entries:
            if TYPE_PATTERN.fullmatch(entry.type) is None or entry.type in self._entries:
                raise ValueError(f"malformed or repeated event type: {entry.type}")
            self._entries[entry.type] = entry
        self.upcasts: Final = Upcasts(upcasts)
        for old in self.upcasts.old_types:
            if old in self._entries or self.upcasts.target_of(old) not in self._entries:
                raise ValueError(f"the upcasts from {old} must end in a current event")
        known = (*self._entries, *self.upcasts.old_types)
        self._names = frozenset(known_type.rpartition(".v")[0] for known_type in known)

    def __getitem__(self, event_type: str) -> Entry:
        return self._entries[event_type]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def missing(self, event_type: str) -> UnknownType | UnknownVersion:
        """The error that says why `event_type` cannot be read: its name or only its version."""
        match = TYPE_PATTERN.fullmatch(event_type)
        if match is None:
            return UnknownType(
                "the type is not of the form billfleet.<family>.<name>.v<N>", where="$.type"
            )
        if match["name"] in self._names:
            return UnknownVersion(
                f"version {match['version']} of this event is not in the catalogue",
                where="$.type",
                contract=event_type,
            )
        return UnknownType("no such event in the catalogue", where="$.type", contract=event_type)


def _to_queue(event: type[Event], name: str, *, deadline_s: float | None = None) -> Entry:
    return Entry(event, Route("queue", QUEUES[name].name), deadline_s)


def _to_topic(event: type[Event], name: str) -> Entry:
    return Entry(event, Route("topic", TOPICS[name].name))


CATALOGUE: Final = Catalogue(
    (
        _to_queue(RebillAccounts, "rebill", deadline_s=120),
        _to_queue(CollectPayments, "collect"),
        _to_queue(PaymentReported, "collect", deadline_s=60),
        _to_topic(AccountRebilled, "events"),
        _to_topic(PaymentSucceeded, "events"),
        _to_topic(PaymentFailed, "events"),
        _to_queue(IssueStamps, "loyalty.fifo"),
        _to_queue(AddPoints, "loyalty.fifo"),
        _to_queue(RedeemReward, "loyalty.fifo"),
        _to_queue(CancelTransaction, "loyalty.fifo"),
        _to_queue(SetProgramme, "loyalty.fifo"),
        _to_queue(ProjectTransactions, "loyalty-view"),
        _to_topic(PointsIssued, "events"),
        _to_topic(StampsIssued, "events"),
        _to_topic(PointsRedeemed, "events"),
        _to_topic(PointsReversed, "events"),
        _to_topic(PointsExpired, "events"),
        _to_topic(PointsExpiring, "events"),
        _to_topic(LoyaltyRefused, "events"),
        _to_queue(DeliverWebhook, "webhooks", deadline_s=60),
        _to_queue(ObjectStored, "uploads"),
        _to_topic(AvatarReady, "events"),
        _to_topic(AvatarRefused, "events"),
        _to_queue(EventTracked, "analytics"),
        _to_queue(ReportRequested, "reports", deadline_s=600),
        _to_topic(ReportReady, "events"),
        _to_queue(ExportRequested, "export", deadline_s=6 * 3600),
        _to_topic(ExportReady, "events"),
        _to_topic(ExportFailed, "events"),
        _to_queue(DueBillsRequested, "due-bills"),
        _to_topic(DueBillsReady, "events"),
        _to_queue(SendMail, "email"),
        _to_queue(SnsNotification, "mail-feedback"),
        _to_topic(MailSent, "events"),
        _to_topic(MailRefused, "events"),
    )
)


def route_of(event_type: str) -> Route:
    """Where messages of this type travel.

    Raises:
        UnknownType: the catalogue has no such event.
        UnknownVersion: it has the event, but not this version.
    """
    entry = CATALOGUE.get(event_type)
    if entry is None:
        raise CATALOGUE.missing(event_type)
    return entry.route
