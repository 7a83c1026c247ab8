"""The messaging template: queues with their dead-letter queues, topics, and who hears what.

Made from the catalogue's QUEUES and TOPICS, so that a new queue there is a new queue here. It
decides what SQS and SNS can be told (encryption, redrive, who may send), never a name or a
timeout, which are the catalogue's.
"""

from collections.abc import Iterator, Mapping

from billfleet_contracts import CATALOGUE, DLQ_RETENTION_S, QueueSpec, TopicSpec
from billfleet_ops.aws_templates.document import Part, Template, Tree, attribute, ref, sub

SNS = "sns.amazonaws.com"
S3 = "s3.amazonaws.com"
LONG_POLL_S = 20
MESSAGE_BYTES_MAX = 1024 * 1024
LETTERS_HIDDEN_S = 30
KEPT = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
ARN = "arn:${AWS::Partition}"
HERE = "${AWS::Region}:${AWS::AccountId}"
DESCRIPTION = (
    "billfleet messaging: per worker one queue and its dead-letter queue, and the topics on which"
    " the fleet tells the rest of the world what happened. Timeouts, counts and filters are those"
    " of the catalogue."
)
KEPT_COMMENT = """\
A message that fails too often, or that can never succeed, rests in the dead-letter queue with
its reason until somebody replays it. Everything is retained when the stack is deleted, because
a deleted queue is lost work.
"""
LETTERS_COMMENT = """\
Looking into a dead-letter queue must not hide its messages for long. The source queue is named
by its ARN's text, because a reference to it would go round in a circle."""


def messaging(queues: Mapping[str, QueueSpec], topics: Mapping[str, TopicSpec]) -> Template:
    """The template of these queues and topics."""
    parts: list[Part] = []
    for number, spec in enumerate(queues.values()):
        comments = (KEPT_COMMENT, LETTERS_COMMENT) if number == 0 else ("", "")
        parts.append(Part(queue_id(spec), _queue(spec), comments[0]))
        parts.append(Part(letters_id(spec), _letters(spec), comments[1]))
    parts += _queue_policies(list(queues.values()), topics)
    parts += [Part(topic_id(spec.name), _topic(spec)) for spec in topics.values()]
    parts += [_topic_policy(spec) for spec in topics.values()]
    parts += _subscriptions(queues, topics)
    outputs = {
        name: output for spec in queues.values() for name, output in _queue_outputs(spec).items()
    }
    for topic in map(topic_id, topics):
        told = "For the permissions of publishers, and for other subscribers"
        outputs[f"{topic}Arn"] = {"Description": told, "Value": ref(topic)}
    return Template(DESCRIPTION, parts, outputs)


def pascal(name: str) -> str:
    """`due-bills` as a logical id spells it: `DueBills`; the end `.fifo` is left out."""
    return "".join(word.capitalize() for word in name.removesuffix(".fifo").split("-"))


def queue_id(spec: QueueSpec) -> str:
    """The logical id of a queue."""
    return f"{pascal(spec.name)}Queue"


def letters_id(spec: QueueSpec) -> str:
    """The logical id of its dead-letter queue."""
    return f"{pascal(spec.name)}DeadLetterQueue"


def topic_id(name: str) -> str:
    """The logical id of a topic."""
    return f"{pascal(name)}Topic"


def queue_arn(name: str) -> str:
    """A queue's ARN by its logical name, as text for `!Sub`."""
    return f"{ARN}:sqs:{HERE}:${{Stack}}-{name}"


def topic_arn(name: str) -> str:
    """A topic's ARN by its logical name, as text for `!Sub`."""
    return f"{ARN}:sns:{HERE}:${{Stack}}-{name}"


def _queue(spec: QueueSpec) -> Tree:
    redrive = {
        "deadLetterTargetArn": attribute(letters_id(spec)),
        "maxReceiveCount": spec.max_receive_count,
    }
    return _kept(
        "AWS::SQS::Queue",
        {
            "QueueName": sub(f"${{Stack}}-{spec.name}"),
            **_order(spec),
            "VisibilityTimeout": spec.visibility_timeout_s,
            "MessageRetentionPeriod": spec.retention_s,
            **_of_every_queue(),
            "RedrivePolicy": redrive,
            "RedriveAllowPolicy": {"redrivePermission": "denyAll"},
        },
    )


def _letters(spec: QueueSpec) -> Tree:
    return _kept(
        "AWS::SQS::Queue",
        {
            "QueueName": sub(f"${{Stack}}-{spec.dlq_name}"),
            **_order(spec),
            "VisibilityTimeout": LETTERS_HIDDEN_S,
            "MessageRetentionPeriod": DLQ_RETENTION_S,
            **_of_every_queue(),
            "RedriveAllowPolicy": {
                "redrivePermission": "byQueue",
                "sourceQueueArns": [sub(queue_arn(spec.name))],
            },
        },
    )


def _of_every_queue() -> Tree:
    return {
        "ReceiveMessageWaitTimeSeconds": LONG_POLL_S,
        "MaximumMessageSize": MESSAGE_BYTES_MAX,
        "SqsManagedSseEnabled": True,
    }


def _order(spec: QueueSpec) -> Tree:
    """Ordered by group: the messages of a group follow each other, others go on beside it."""
    if not spec.fifo:
        return {}
    return {
        "FifoQueue": True,
        "DeduplicationScope": "messageGroup",
        "FifoThroughputLimit": "perMessageGroupId",
    }


def _topic(spec: TopicSpec) -> Tree:
    order = {"FifoTopic": True} if spec.fifo else {}
    named = f"billfleet {spec.name.removesuffix('.fifo')}"
    name = {"TopicName": sub(f"${{Stack}}-{spec.name}"), "DisplayName": named}
    return _kept("AWS::SNS::Topic", {**name, **order, "KmsMasterKeyId": "alias/aws/sns"})


def _kept(kind: str, properties: Tree) -> Tree:
    return {"Type": kind, **KEPT, "Properties": properties}


def _queue_policies(specs: list[QueueSpec], topics: Mapping[str, TopicSpec]) -> Iterator[Part]:
    """A queue has one policy: those that a service sends to have their own, the rest share one."""
    closed: list[object] = []
    own: list[Part] = []
    for spec in specs:
        for logical_id, senders in (
            (queue_id(spec), _senders(spec, topics)),
            # SNS buries there what it cannot deliver.
            (letters_id(spec), _topics_may_send(spec, letters_id(spec), topics)),
        ):
            if senders:
                statements = [*senders, _only_tls()]
                body = _policy("AWS::SQS::QueuePolicy", [ref(logical_id)], statements)
                own.append(Part(f"{logical_id}Policy", body))
            else:
                closed.append(ref(logical_id))
    if closed:
        yield Part("QueuesRefusePlainHttp", _policy("AWS::SQS::QueuePolicy", closed, [_only_tls()]))
    yield from own


def _policy(kind: str, targets: list[object], statements: list[Tree]) -> Tree:
    plural = "Queues" if kind == "AWS::SQS::QueuePolicy" else "Topics"
    document = {"Version": "2012-10-17", "Statement": statements}
    return {"Type": kind, "Properties": {plural: targets, "PolicyDocument": document}}


def _only_tls(action: str = "sqs:*", resource: object = "*") -> Tree:
    return {
        "Sid": "OnlyOverTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": resource,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def _senders(spec: QueueSpec, topics: Mapping[str, TopicSpec]) -> list[Tree]:
    """What may send to the queue from outside: its topics, and what a foreign form comes from."""
    senders = _topics_may_send(spec, queue_id(spec), topics)
    if spec.form == "sns":
        origin: list[object] = [sub(topic_arn(spec.name))]
        senders.append(_may_send("ItsTopicMaySend", queue_id(spec), SNS, origin))
    if spec.form == "s3":
        origin = [sub(f"{ARN}:s3:::${{Stack}}-{spec.name}")]
        senders.append(_may_send("ItsBucketMaySend", queue_id(spec), S3, origin))
    return senders


def _topics_may_send(
    spec: QueueSpec, logical_id: str, topics: Mapping[str, TopicSpec]
) -> list[Tree]:
    heard: list[object] = [sub(topic_arn(topics[one.topic].name)) for one in spec.subscribes]
    return [_may_send("TopicsMaySend", logical_id, SNS, heard)] if heard else []


def _may_send(sid: str, logical_id: str, service: str, arns: list[object]) -> Tree:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sqs:SendMessage",
        "Resource": attribute(logical_id),
        "Condition": {
            "ArnLike": {"aws:SourceArn": arns},
            "StringEquals": {"aws:SourceAccount": ref("AWS::AccountId")},
        },
    }


def _topic_policy(spec: TopicSpec) -> Part:
    """A topic policy of our own replaces the default one, so the owner is named again."""
    topic = ref(topic_id(spec.name))
    actions = ("Publish", "Subscribe", "GetTopicAttributes", "ListSubscriptionsByTopic")
    owner = {
        "Sid": "OwnAccountOnly",
        "Effect": "Allow",
        "Principal": {"AWS": sub(f"{ARN}:iam::${{AWS::AccountId}}:root")},
        "Action": [f"sns:{action}" for action in actions],
        "Resource": topic,
    }
    statements = [owner, _only_tls("sns:Publish", topic)]
    first = "TopicRefusesPlainHttp" if spec.name == "events" else f"{topic_id(spec.name)}Policy"
    return Part(first, _policy("AWS::SNS::TopicPolicy", [topic], statements))


def _subscriptions(
    queues: Mapping[str, QueueSpec], topics: Mapping[str, TopicSpec]
) -> Iterator[Part]:
    for spec in queues.values():
        for heard in spec.subscribes:
            topic = topics[heard.topic]
            properties: Tree = {
                "TopicArn": ref(topic_id(topic.name)),
                "Protocol": "sqs",
                "Endpoint": attribute(queue_id(spec)),
                "RawMessageDelivery": True,
            }
            if heard.types:
                properties["FilterPolicyScope"] = "MessageAttributes"
                properties["FilterPolicy"] = {"type": sorted(heard.types)}
            # What SNS cannot deliver rests beside what the worker could not do.
            properties["RedrivePolicy"] = {"deadLetterTargetArn": attribute(letters_id(spec))}
            body = {"Type": "AWS::SNS::Subscription", "Properties": properties}
            yield Part(f"{pascal(spec.name)}Hears{pascal(topic.name)}", body)


def _queue_outputs(spec: QueueSpec) -> dict[str, Tree]:
    events = [entry.event.__name__ for entry in CATALOGUE.values() if entry.route.name == spec.name]
    carried = ", ".join(events) or "what its topics announce"
    queue, letters = queue_id(spec), letters_id(spec)
    return {
        f"{queue}Url": {"Description": f"Where {carried} go", "Value": ref(queue)},
        f"{queue}Arn": {
            "Description": f"For the permissions of producers and of the worker {spec.worker}",
            "Value": attribute(queue),
        },
        f"{letters}Url": {
            "Description": "Where those rest that could not be handled",
            "Value": ref(letters),
        },
        f"{letters}Arn": {
            "Description": "For alarms and for the permissions of replay",
            "Value": attribute(letters),
        },
    }
