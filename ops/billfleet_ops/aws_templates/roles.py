"""Permissions as IAM writes them: one statement per resource, and never a wildcard action.

The services template makes its roles here. It knows how our names become ARNs and which services
have no resources of their own; what a role may do is declared by the workers.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from billfleet_ops.aws_templates.document import Part, Tag, Tree, sub
from billfleet_ops.aws_templates.messaging import ARN, HERE, pascal, queue_arn, topic_arn
from billfleet_workers.main.permissions import Permission

# PutMetricData knows no resources; the condition keeps it to our namespace.
SENDS_FIGURES: Tree = {
    "Sid": "OwnFiguresOnly",
    "Effect": "Allow",
    "Action": ["cloudwatch:PutMetricData"],
    "Resource": "*",
    "Condition": {"StringEquals": {"cloudwatch:namespace": "billfleet"}},
}


def role(
    logical_id: str, trusted: str, permissions: Iterable[Permission], *, extra: Sequence[Tree] = ()
) -> Part:
    """A role that an AWS service takes on for us."""
    condition = {"StringEquals": {"aws:SourceAccount": Tag("Ref", "AWS::AccountId")}}
    return Part(
        logical_id,
        {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": _document(
                    [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": trusted},
                            "Action": "sts:AssumeRole",
                            "Condition": condition,
                        }
                    ]
                ),
                **_inline([*statements(permissions), *extra]),
            },
        },
    )


def _inline(said: list[Tree]) -> Tree:
    if not said:
        return {}
    return {"Policies": [{"PolicyName": "what-it-calls", "PolicyDocument": _document(said)}]}


def statements(permissions: Iterable[Permission]) -> list[Tree]:
    """One statement per resource, with its actions in order."""
    actions_by_place: dict[tuple[str, str], list[str]] = {}
    for permission in sorted(permissions):
        place = (permission.service, permission.resource)
        actions_by_place.setdefault(place, []).append(permission.action)
    return [
        {
            "Sid": _sid(service, resource),
            "Effect": "Allow",
            "Action": actions,
            "Resource": sub(arn(service, resource)),
        }
        for (service, resource), actions in sorted(actions_by_place.items())
    ]


def arn(service: str, resource: str) -> str:
    """The ARN of one of our names, as text for `!Sub`."""
    if service == "sqs":
        return queue_arn(resource)
    if service == "sns":
        return topic_arn(resource)
    if service == "dynamodb":
        return f"{ARN}:dynamodb:{HERE}:table/${{Stack}}-{resource}"
    if service == "s3":
        return f"{ARN}:s3:::${{Stack}}-{resource}"
    if service == "ses":
        return f"{ARN}:ses:{HERE}:identity/${{MailIdentity}}"
    raise ValueError(f"no ARN is known for resources of {service}")


def _sid(service: str, resource: str) -> str:
    letters = "".join(char if char.isalnum() else "-" for char in resource)
    return f"{service.capitalize()}{pascal(letters.replace('-fifo', 'Fifo'))}"


def _document(said: list[Tree]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": said}
