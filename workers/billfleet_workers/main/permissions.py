"""What each worker may do on AWS: exactly the calls that it makes, each on one resource.

A module of `fleet_workers` declares what its handlers need beyond their queue; the services
template makes a role of it, and a test compares it with the calls that a running worker makes. A
resource is named as the catalogue and the settings name it, without the stack.
"""

from dataclasses import dataclass
from typing import Literal

from billfleet_contracts import CATALOGUE, QUEUES, TOPICS, QueueSpec

Service = Literal["sqs", "sns", "dynamodb", "s3", "ses"]
DEDUPE_TABLE = "dedupe"
FILES_BUCKET = "files"
CLAIM_CHECKS = "claim-checks/"


@dataclass(frozen=True, slots=True, order=True)
class Permission:
    """One action on one resource.

    `resource` is a queue, a topic, a table (or `table/index/name`), or `bucket/prefix*`; for mail
    it is an identity.
    """

    action: str
    resource: str

    @property
    def service(self) -> str:
        """The service, as the action names it."""
        return self.action.partition(":")[0]


Permissions = tuple[Permission, ...]


def reads(spec: QueueSpec) -> Permissions:
    """Receive, hide and delete on a queue, with bodies that were left in S3; bury its poison."""
    own = ("GetQueueUrl", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility")
    return (
        *(Permission(f"sqs:{action}", spec.name) for action in own),
        *sends_to(spec.dlq_name),
        *gets_files(CLAIM_CHECKS),
    )


def claims() -> Permissions:
    """Claim, extend, complete and release dedupe keys."""
    actions = ("PartiQLInsert", "PartiQLUpdate", "PartiQLDelete", "BatchGetItem")
    return tuple(Permission(f"dynamodb:{action}", DEDUPE_TABLE) for action in actions)


def takes_turns() -> Permissions:
    """Take slots of a rate that the fleet shares; a worker that claims may do so already."""
    return (Permission("dynamodb:PartiQLInsert", DEDUPE_TABLE),)


def sends_to(queue: str) -> Permissions:
    """Send to a queue by its logical name, which may be that of a dead-letter queue."""
    return tuple(Permission(f"sqs:{action}", queue) for action in ("GetQueueUrl", "SendMessage"))


def relays() -> Permissions:
    """Carry the outbox: to every queue that an event of the catalogue goes to, and every topic."""
    carried = {entry.route.name for entry in CATALOGUE.values() if entry.route.kind == "queue"}
    queues = [permission for name in QUEUES if name in carried for permission in sends_to(name)]
    return (*queues, *(Permission("sns:Publish", name) for name in TOPICS))


def counts_backlogs() -> Permissions:
    """Ask every queue and dead-letter queue how much waits in it."""
    names = [name for spec in QUEUES.values() for name in (spec.name, spec.dlq_name)]
    actions = ("GetQueueUrl", "GetQueueAttributes")
    return tuple(Permission(f"sqs:{action}", name) for name in names for action in actions)


def puts_files(prefix: str, *, bucket: str = FILES_BUCKET) -> Permissions:
    """Write objects below a prefix, each in one piece."""
    return (Permission("s3:PutObject", f"{bucket}/{prefix}*"),)


def uploads_files(prefix: str, *, bucket: str = FILES_BUCKET) -> Permissions:
    """Write objects below a prefix in parts, and give up what was begun."""
    return (
        *puts_files(prefix, bucket=bucket),
        Permission("s3:AbortMultipartUpload", f"{bucket}/{prefix}*"),
    )


def gets_files(prefix: str, *, bucket: str = FILES_BUCKET) -> Permissions:
    """Read objects below a prefix."""
    return (Permission("s3:GetObject", f"{bucket}/{prefix}*"),)


def lists_files(*, bucket: str = FILES_BUCKET) -> Permissions:
    """List a bucket, which also turns a missing object into 404 instead of 403."""
    return (Permission("s3:ListBucket", bucket),)


def deletes_files(prefix: str, *, bucket: str = FILES_BUCKET) -> Permissions:
    """Delete objects below a prefix."""
    return (Permission("s3:DeleteObject", f"{bucket}/{prefix}*"),)


def sends_mail() -> Permissions:
    """Send from the stack's own mail identity and no other."""
    return (Permission("ses:SendEmail", "identity"), Permission("ses:SendRawEmail", "identity"))


def on_table(table: str, *actions: str) -> Permissions:
    """Calls on a table of ours."""
    return tuple(Permission(f"dynamodb:{action}", table) for action in actions)
