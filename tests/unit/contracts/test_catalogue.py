"""The catalogue: each type has one route and one worker, and mistakes in it are found at import."""

import subprocess
import sys
from typing import ClassVar

import pytest

from billfleet_contracts import (
    CATALOGUE,
    QUEUES,
    TOPICS,
    Catalogue,
    ContractError,
    Entry,
    Event,
    QueueSpec,
    RebillAccounts,
    Route,
    TopicSpec,
    UnknownType,
    UnknownVersion,
    Upcast,
    decoder_of,
    route_of,
)


def test_requests_travel_by_queue_to_their_worker_and_facts_by_topic() -> None:
    routes = {name.split(".")[2]: (entry.route, entry.worker) for name, entry in CATALOGUE.items()}
    assert routes == {
        "rebill_accounts": (Route("queue", "rebill"), "rebill"),
        "collect_payments": (Route("queue", "collect"), "collect"),
        "payment_reported": (Route("queue", "collect"), "collect"),
        "account_rebilled": (Route("topic", "events"), None),
        "payment_succeeded": (Route("topic", "events"), None),
        "payment_failed": (Route("topic", "events"), None),
        "issue_stamps": (Route("queue", "loyalty.fifo"), "loyalty-points"),
        "add_points": (Route("queue", "loyalty.fifo"), "loyalty-points"),
        "redeem_reward": (Route("queue", "loyalty.fifo"), "loyalty-points"),
        "cancel_transaction": (Route("queue", "loyalty.fifo"), "loyalty-points"),
        "set_programme": (Route("queue", "loyalty.fifo"), "loyalty-points"),
        "project_transactions": (Route("queue", "loyalty-view"), "loyalty-view"),
        "points_issued": (Route("topic", "events"), None),
        "stamps_issued": (Route("topic", "events"), None),
        "points_redeemed": (Route("topic", "events"), None),
        "points_reversed": (Route("topic", "events"), None),
        "points_expired": (Route("topic", "events"), None),
        "points_expiring": (Route("topic", "events"), None),
        "loyalty_refused": (Route("topic", "events"), None),
        "deliver_webhook": (Route("queue", "webhooks"), "webhooks"),
        "object_stored": (Route("queue", "uploads"), "avatar"),
        "avatar_ready": (Route("topic", "events"), None),
        "avatar_refused": (Route("topic", "events"), None),
        "event_tracked": (Route("queue", "analytics"), "analytics"),
        "report_requested": (Route("queue", "reports"), "reports"),
        "report_ready": (Route("topic", "events"), None),
        "export_requested": (Route("queue", "export"), "export"),
        "export_ready": (Route("topic", "events"), None),
        "export_failed": (Route("topic", "events"), None),
        "due_bills_requested": (Route("queue", "due-bills"), "email-due-bills"),
        "due_bills_ready": (Route("topic", "events"), None),
        "send_mail": (Route("queue", "email"), "email"),
        "sns_notification": (Route("queue", "mail-feedback"), "mail-feedback"),
        "mail_sent": (Route("topic", "events"), None),
        "mail_refused": (Route("topic", "events"), None),
    }
    assert {name: route_of(name) for name in CATALOGUE} == {
        name: entry.route for name, entry in CATALOGUE.items()
    }


def test_each_entry_is_listed_under_its_own_type_and_its_route_exists() -> None:
    for name, entry in CATALOGUE.items():
        assert entry.type == name == entry.event.TYPE
        assert entry.route.name in (QUEUES if entry.route.kind == "queue" else TOPICS)


def test_queues_have_their_settings_and_a_dead_letter_queue() -> None:
    rebill, collect = QUEUES["rebill"], QUEUES["collect"]
    assert (rebill.visibility_timeout_s, collect.visibility_timeout_s) == (60, 120)
    for spec in (rebill, collect):
        assert spec.max_receive_count == 10
        assert spec.retention_s == 14 * 24 * 3600
        assert (spec.fifo, spec.group) == (False, "tenant")


def test_physical_names_start_with_the_stack() -> None:
    queue = QueueSpec(name="rebill", worker="rebill")
    ordered = QueueSpec(name="points.fifo", worker="loyalty", fifo=True)
    assert queue.physical_name("billfleet-local") == "billfleet-local-rebill"
    assert queue.dlq_physical_name("billfleet-local") == "billfleet-local-rebill-dlq"
    assert ordered.dlq_physical_name("x") == "x-points-dlq.fifo"
    assert TopicSpec(name="events").physical_name("x") == "x-events"
    assert Route("queue", "rebill").physical_name("x") == "x-rebill"


def test_route_of_an_unknown_type_says_whether_name_or_version_is_unknown() -> None:
    for event_type, error in (
        ("billfleet.billing.refund.v1", UnknownType),
        ("billfleet.billing.rebill_accounts.v2", UnknownVersion),
        ("billfleet.billing.rebill_accounts.v01", UnknownType),
        ("rebill", UnknownType),
    ):
        with pytest.raises(ContractError) as caught:
            route_of(event_type)
        assert type(caught.value) is error


class Two(Event):
    TYPE: ClassVar[str] = "billfleet.test.thing.v2"


class Malformed(Event):
    TYPE: ClassVar[str] = "billfleet.test.Thing"


ROUTE = Route("topic", "events")


def same(data: dict[str, object]) -> dict[str, object]:
    return data


@pytest.mark.parametrize(
    "upcasts",
    [
        [Upcast("billfleet.test.thing.v2", "billfleet.test.thing.v3", same)],
        [Upcast("billfleet.test.thing.v1", "billfleet.test.thing.v3", same)],
        [Upcast("billfleet.test.other.v1", "billfleet.test.thing.v2", same)],
        [Upcast("billfleet.test.thing.v2", "billfleet.test.thing.v1", same)],
        [Upcast("billfleet.test.thing.v2", "billfleet.test.thing.v2", same)],
        [Upcast("thing.v1", "billfleet.test.thing.v2", same)],
        [Upcast("billfleet.test.thing.v1", "billfleet.test.thing.v2", same)] * 2,
    ],
    ids=["from-current", "to-nowhere", "renames", "downwards", "circle", "malformed", "fork"],
)
def test_mistaken_upcast_is_found_at_import(upcasts: list[Upcast]) -> None:
    with pytest.raises(ValueError, match=r"upcast|event type"):
        Catalogue([Entry(Two, ROUTE)], upcasts)


@pytest.mark.parametrize("events", [[Two, Two], [Malformed]])
def test_malformed_or_repeated_type_is_found_at_import(events: list[type[Event]]) -> None:
    with pytest.raises(ValueError, match="malformed or repeated"):
        Catalogue([Entry(event, ROUTE) for event in events])


def test_upcast_is_given_a_copy_of_the_data() -> None:
    def mutate(data: dict[str, object]) -> dict[str, object]:
        data["a"] = 2
        return data

    catalogue = Catalogue(
        [Entry(Two, ROUTE)],
        [Upcast("billfleet.test.thing.v1", "billfleet.test.thing.v2", mutate)],
    )
    old: dict[str, object] = {"a": 1}
    assert catalogue.upcasts.apply("billfleet.test.thing.v1", old) == (Two.TYPE, {"a": 2})
    assert old == {"a": 1}


def test_importing_the_contracts_imports_pydantic_alone() -> None:
    code = (
        "import sys, billfleet_contracts\n"
        "heavy = {'sqlalchemy', 'boto3', 'botocore', 'aiobotocore', 'structlog', 'asyncpg'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_door_offers_everything_that_it_names() -> None:
    import billfleet_contracts

    for name in billfleet_contracts.__all__:
        assert getattr(billfleet_contracts, name) is not None
    assert RebillAccounts.TYPE in CATALOGUE


def test_the_bodies_of_every_queue_have_a_decoder() -> None:
    for spec in QUEUES.values():
        assert callable(decoder_of(spec.form))
