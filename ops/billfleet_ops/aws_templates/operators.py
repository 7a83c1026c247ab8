"""The role of a person who replays dead letters, with everything that the commands can do.

The services template has it. It is taken on for an hour, with a second factor.
"""

from collections.abc import Iterable, Iterator

from billfleet_ops.aws_templates.document import Part, Tree, ref, sub
from billfleet_ops.aws_templates.messaging import ARN
from billfleet_ops.aws_templates.roles import statements
from billfleet_workers.main.fleet_permissions import replay_permissions


def replay_operator() -> Iterator[Part]:
    """The role and its policy."""
    people = {"AWS": sub(f"{ARN}:iam::${{AWS::AccountId}}:root")}
    trust = {
        "Effect": "Allow",
        "Principal": people,
        "Action": "sts:AssumeRole",
        "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
    }
    yield Part(
        "ReplayOperatorPolicy",
        {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {
                "Description": "What `billfleet replay-dlq` calls, on this stack alone",
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": _compact(statements(replay_permissions())),
                },
            },
        },
        comment="A managed policy, because an inline one would be too long for this many queues.",
    )
    yield Part(
        "ReplayOperatorRole",
        {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
                "MaxSessionDuration": 3600,
                "ManagedPolicyArns": [ref("ReplayOperatorPolicy")],
            },
        },
    )


def _compact(said: Iterable[Tree]) -> list[Tree]:
    """Statements with the same actions as one: policies are limited to 6,144 characters."""
    by_actions: dict[tuple[str, ...], list[object]] = {}
    for statement in said:
        by_actions.setdefault(tuple(statement["Action"]), []).append(statement["Resource"])
    return [
        {"Sid": f"Part{number}", "Effect": "Allow", "Action": list(actions), "Resource": places}
        for number, (actions, places) in enumerate(by_actions.items(), 1)
    ]
