"""What `billfleet doctor` asks AWS: credentials, clock, resources, permissions, dead letters.

Permissions are asked with calls that cannot have an effect: deleting with a receipt handle
that is none, and deleting a row that does not exist on the condition that it does. What
cannot be asked like that is left to the first real message.
"""

from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError

from billfleet_contracts import QUEUES
from billfleet_ops.clients import WRONG_CREDENTIALS, Clients, from_aws_error
from billfleet_ops.errors import OpsError
from billfleet_ops.finding import Finding, doubtful, fine, wrong, wrong_because
from billfleet_ops.queues import figures
from billfleet_ops.resources import Difference, check, physical_name, place_of, promised
from billfleet_ops.runbooks import Runbook

SKEW_S_DOUBTFUL = 30.0
SKEW_S_WRONG = 240.0
"""AWS refuses signatures whose time is more than five minutes off."""
VITAL = {"RedrivePolicy", "VisibilityTimeout", "KeySchema", "AttributeDefinitions"}
"""Attributes without which the fleet loses or repeats work; the others cost money or comfort."""
NO_RECEIPT = "billfleet-doctor-asks-for-permission"
NO_ROW = {"pk": {"S": "billfleet-doctor/no-such-row"}}


def check_aws(clients: Clients, stack: str, now: Callable[[], datetime]) -> list[Finding]:
    """All findings about AWS."""
    try:
        identity = clients.sts.get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        return [wrong_because("AWS", from_aws_error(error, clients.place))]
    headers = identity["ResponseMetadata"]["HTTPHeaders"]
    findings = [fine("AWS", f"{identity['Arn']} at {clients.place}"), _clock(headers, now())]
    try:
        existing, about_resources = _resources(clients, stack)
        findings += about_resources
        findings += _permissions(clients, stack, existing)
        findings += _dead_letters(clients, stack, now())
    except OpsError as error:
        findings.append(wrong_because("AWS", error))
    return findings


def _clock(headers: dict[str, str], now: datetime) -> Finding:
    said = headers.get("date")
    if said is None:
        return fine("clock", "the endpoint does not tell the time")
    skew_s = abs((parsedate_to_datetime(said) - now).total_seconds())
    remedy = "Run a time service (chrony, systemd-timesyncd) on this machine."
    if skew_s > SKEW_S_WRONG:
        return wrong("clock", f"{skew_s:.0f} s off; AWS refuses signatures from 300 s on", remedy)
    if skew_s > SKEW_S_DOUBTFUL:
        return doubtful("clock", f"{skew_s:.0f} s off", remedy)
    return fine("clock", f"within {SKEW_S_DOUBTFUL:.0f} s of the endpoint's")


def _resources(clients: Clients, stack: str) -> tuple[set[str], list[Finding]]:
    existing: set[str] = set()
    findings: list[Finding] = []
    for resource in promised(place_of(clients, stack)):
        name = physical_name(resource)
        found = check(clients, resource)
        findings += [_about(difference) for difference in found]
        if not found:
            findings.append(fine(name, "exists, as its template says"))
        if not any(difference.is_missing for difference in found):
            existing.add(name)
    return existing, findings


def _about(difference: Difference) -> Finding:
    remedy = "Deploy ops/aws/messaging.yaml and data.yaml, or correct BILLFLEET_STACK."
    if difference.is_missing or difference.attribute in VITAL:
        return wrong(difference.name, str(difference), remedy)
    return doubtful(difference.name, str(difference), remedy)


def _permissions(clients: Clients, stack: str, existing: set[str]) -> list[Finding]:
    findings = []
    for spec in QUEUES.values():
        name = spec.physical_name(stack)
        if name in existing:
            findings.append(_asked(name, "sqs:DeleteMessage", partial(_delete, clients, name)))
    table = f"{stack}-dedupe"
    if table in existing:
        findings.append(_asked(table, "dynamodb:DeleteItem", partial(_delete_row, clients, table)))
    return findings


def _delete(clients: Clients, name: str) -> None:
    url = clients.sqs.get_queue_url(QueueName=name)["QueueUrl"]
    clients.sqs.delete_message(QueueUrl=url, ReceiptHandle=NO_RECEIPT)


def _delete_row(clients: Clients, table: str) -> None:
    clients.dynamodb.delete_item(
        TableName=table, Key=NO_ROW, ConditionExpression="attribute_exists(pk)"
    )


def _asked(name: str, action: str, ask: Callable[[], None]) -> Finding:
    """Only a refusal for want of permission counts; every other answer means 'allowed'."""
    try:
        ask()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in WRONG_CREDENTIALS:
            return wrong(name, f"{action} is not allowed", f"Allow {action} on {name}.")
    except BotoCoreError as error:
        return wrong(name, f"{action} could not be asked: {error}", "Check the endpoint.")
    return fine(name, f"{action} is allowed")


def _dead_letters(clients: Clients, stack: str, now: datetime) -> list[Finding]:
    return [
        doubtful(
            queue.name,
            f"{queue.waiting} dead letters rest here",
            f"Their attributes say why: {Runbook.DEAD_LETTERS} has how to look and move.",
        )
        for queue in figures(clients, stack, now)
        if queue.is_dead_letter and queue.waiting
    ]
