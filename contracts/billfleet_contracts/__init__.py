"""The words on the wire of a billfleet: events, their envelope, the catalogue and the codec.

The public door of this package: import from here and from nowhere deeper. It depends on pydantic
alone, and must not know queues' clients, tables or workers.
"""

from billfleet_contracts.analytics import (
    EventTracked,
    ReportPeriod,
    ReportReady,
    ReportRequested,
)
from billfleet_contracts.avatars import AvatarImage, AvatarReady, AvatarRefused, ObjectStored
from billfleet_contracts.billing import (
    AccountPeriod,
    AccountRebilled,
    AccountState,
    ChargeRef,
    CollectPayments,
    PaymentFailed,
    PaymentReported,
    PaymentSucceeded,
    RebillAccounts,
)
from billfleet_contracts.catalogue import CATALOGUE, QUEUES, TOPICS, Catalogue, Entry, route_of
from billfleet_contracts.codec import decode, encode, payload_hash, wrap
from billfleet_contracts.envelope import Envelope
from billfleet_contracts.errors import (
    ContractError,
    InvalidEvent,
    UndecodableBody,
    UnknownType,
    UnknownVersion,
)
from billfleet_contracts.event import Event
from billfleet_contracts.fields import (
    ACCOUNT_PATTERN,
    INTEGER_MAX,
    TENANT_PATTERN,
    AccountId,
    TenantId,
)
from billfleet_contracts.forms import Decoder, decoder_of
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
from billfleet_contracts.loyalty_rules import (
    DebtPolicy,
    Earning,
    Expiry,
    Multiplier,
    ProgrammeRules,
    Rounding,
    Stamps,
    Tier,
    Tiers,
)
from billfleet_contracts.mail import (
    DueBillsReady,
    DueBillsRequested,
    MailRefused,
    MailSent,
    OpenBill,
    Recipient,
    SendMail,
    SnsNotification,
)
from billfleet_contracts.routes import DLQ_RETENTION_S, Form, QueueSpec, Route, TopicSpec
from billfleet_contracts.upcasts import Upcast
from billfleet_contracts.webhooks import DeliverWebhook

__all__ = [
    "ACCOUNT_PATTERN",
    "CATALOGUE",
    "DLQ_RETENTION_S",
    "INTEGER_MAX",
    "QUEUES",
    "TENANT_PATTERN",
    "TOPICS",
    "AccountId",
    "AccountPeriod",
    "AccountRebilled",
    "AccountState",
    "AddPoints",
    "AvatarImage",
    "AvatarReady",
    "AvatarRefused",
    "CancelTransaction",
    "Catalogue",
    "ChargeRef",
    "CollectPayments",
    "ContractError",
    "DebtPolicy",
    "Decoder",
    "DeliverWebhook",
    "DueBillsReady",
    "DueBillsRequested",
    "Earning",
    "Entry",
    "Envelope",
    "Event",
    "EventTracked",
    "Expiry",
    "Form",
    "InvalidEvent",
    "IssueStamps",
    "LoyaltyRefused",
    "MailRefused",
    "MailSent",
    "Multiplier",
    "ObjectStored",
    "OpenBill",
    "PaymentFailed",
    "PaymentReported",
    "PaymentSucceeded",
    "PointsExpired",
    "PointsExpiring",
    "PointsIssued",
    "PointsRedeemed",
    "PointsReversed",
    "ProgrammeRules",
    "ProjectTransactions",
    "QueueSpec",
    "RebillAccounts",
    "Recipient",
    "RedeemReward",
    "ReportPeriod",
    "ReportReady",
    "ReportRequested",
    "Rounding",
    "Route",
    "SendMail",
    "SetProgramme",
    "SnsNotification",
    "Stamps",
    "StampsIssued",
    "TenantId",
    "Tier",
    "Tiers",
    "TopicSpec",
    "UndecodableBody",
    "UnknownType",
    "UnknownVersion",
    "Upcast",
    "decode",
    "decoder_of",
    "encode",
    "payload_hash",
    "route_of",
    "wrap",
]
