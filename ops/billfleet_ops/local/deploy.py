"""Creates the stack on the embedded endpoint from the templates that production uses.

`stack` calls it at every start, and the test fixtures do. It goes through the CloudFormation
API, waits, compares what really exists with the templates, and sets what the emulator left
out. On AWS itself CloudFormation is run by the delivery pipeline, not by this module.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from botocore.exceptions import ClientError

from billfleet_ops.clients import Clients, aws_errors_mapped
from billfleet_ops.errors import DeployFailed
from billfleet_ops.resources import Difference, correct, differences, place_of
from billfleet_ops.templates import TEMPLATE_NAMES, template_body

DEADLINE_S = 60.0
POLL_S = 0.05
UNKNOWN = "no reason given"
FINISHED = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}


@dataclass(frozen=True)
class Deployment:
    """What a deployment did."""

    created: Sequence[str]
    updated: Sequence[str]
    unchanged: Sequence[str]
    corrected: Sequence[Difference]
    """What CloudFormation reported as done and was set afterwards."""


def deploy(
    clients: Clients,
    stack: str,
    *,
    templates: Sequence[str] = TEMPLATE_NAMES,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Deployment:
    """Create or update the stack; doing it again changes nothing."""
    done: dict[str, list[str]] = {"created": [], "updated": [], "unchanged": []}
    for template in templates:
        name = f"{stack}-{template}"
        with aws_errors_mapped(clients):
            did = _submit(clients, name, stack, template)
            done[did].append(name)
            if did != "unchanged":
                _wait(
                    clients,
                    name,
                    deadline=monotonic() + DEADLINE_S,
                    monotonic=monotonic,
                    sleep=sleep,
                )
    return Deployment(**done, corrected=_made_true(clients, stack))


def _submit(clients: Clients, name: str, stack: str, template: str) -> str:
    if not _exists(clients, name):
        clients.cloudformation.create_stack(
            StackName=name,
            TemplateBody=template_body(template),
            Parameters=[{"ParameterKey": "Stack", "ParameterValue": stack}],
            OnFailure="DELETE",
        )
        return "created"
    try:
        clients.cloudformation.update_stack(
            StackName=name,
            TemplateBody=template_body(template),
            Parameters=[{"ParameterKey": "Stack", "ParameterValue": stack}],
        )
    except ClientError as error:
        if "No updates" not in str(error):
            raise
        return "unchanged"
    return "updated"


def _exists(clients: Clients, name: str) -> bool:
    try:
        stacks = clients.cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" not in str(error):
            raise
        return False
    return any(found["StackStatus"] != "DELETE_COMPLETE" for found in stacks)


def _wait(
    clients: Clients,
    name: str,
    *,
    deadline: float,
    monotonic: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    while True:
        stacks = clients.cloudformation.describe_stacks(StackName=name)["Stacks"]
        status = stacks[0]["StackStatus"] if stacks else "DELETE_COMPLETE"
        if status in FINISHED:
            return
        if not status.endswith("_IN_PROGRESS"):
            raise _failed(clients, name, f"ended as {status}: {_reason(clients, name)}")
        if monotonic() > deadline:
            raise _failed(clients, name, f"is still {status} after {DEADLINE_S:.0f} s")
        sleep(POLL_S)


def _reason(clients: Clients, name: str) -> str:
    events = clients.cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    failed = [event for event in events if event.get("ResourceStatus", "").endswith("_FAILED")]
    return (
        failed[-1].get("ResourceStatusReason", "no reason given") if failed else "no reason given"
    )


def _made_true(clients: Clients, stack: str) -> list[Difference]:
    place = place_of(clients, stack)
    found = differences(clients, place)
    corrected = [difference for difference in found if correct(clients, difference)]
    left = differences(clients, place) if found else []
    if left:
        listed = "; ".join(str(difference) for difference in left)
        raise _failed(clients, stack, f"is not as its templates say: {listed}")
    return corrected


def _failed(clients: Clients, name: str, what: str) -> DeployFailed:
    return DeployFailed(
        f"The stack {name} {what}",
        where=clients.place,
        remedy="For the embedded endpoint `billfleet up --fresh` starts over.",
    )
