"""`replay-dlq` on the emulator, as a user types it, with dead letters of every kind."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from billfleet_contracts import decode, payload_hash
from billfleet_ops.cli import run
from billfleet_ops.clients import Clients
from billfleet_ops.exits import Exit
from replay_room import body_of, buried

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def stack(
    deployed_stack: str,
    aws_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> str:
    monkeypatch.setenv("BILLFLEET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BILLFLEET_STACK", deployed_stack)
    return deployed_stack


class Desk:
    """Puts dead letters in and looks at what arrived."""

    def __init__(self, aws: Clients, stack: str, captured: Captured) -> None:
        self.aws, self.stack, self.captured = aws, stack, captured

    def url(self, name: str) -> str:
        return self.aws.sqs.get_queue_url(QueueName=f"{self.stack}-{name}")["QueueUrl"]

    def bury(self, body: str, **more: str) -> str:
        copy = buried(body, **more)
        attributes: Any = {
            name: {"DataType": "String", "StringValue": one.text}
            for name, one in copy.attributes.items()
        }
        return self.aws.sqs.send_message(
            QueueUrl=self.url("rebill-dlq"),
            MessageBody=body,
            MessageAttributes=attributes,
            MessageGroupId="acme",
        )["MessageId"]

    def depth(self, name: str) -> tuple[int, int]:
        found = self.aws.sqs.get_queue_attributes(QueueUrl=self.url(name), AttributeNames=["All"])[
            "Attributes"
        ]
        waiting = int(found["ApproximateNumberOfMessages"])
        return waiting, int(found["ApproximateNumberOfMessagesNotVisible"])

    def take(self, name: str) -> list[dict[str, Any]]:
        taken: list[Any] = []
        while True:
            more: Any = self.aws.sqs.receive_message(
                QueueUrl=self.url(name),
                MaxNumberOfMessages=10,
                WaitTimeSeconds=0,
                MessageAttributeNames=["All"],
                AttributeNames=["All"],
            ).get("Messages")
            if not more:
                return taken
            taken += more

    def finish(self, body: str) -> str:
        """Record the work as done and return its key."""
        envelope = decode(body)
        key = f"{envelope.tenant}#rebill#{envelope.dedupekey}"
        now_s = int(datetime.now(UTC).timestamp())
        self.aws.dynamodb.put_item(
            TableName=f"{self.stack}-dedupe",
            Item={
                "pk": {"S": key},
                "state": {"S": "done"},
                "payload_hash": {"S": payload_hash(envelope)},
                "token": {"S": "t"},
                "lease_until": {"N": "0"},
                "completed_at": {"N": str(now_s * 1000)},
                "expires_at": {"N": str(now_s + 86400)},
                "note": {"S": "billed=1"},
            },
        )
        return key

    def json(self, *arguments: str, code: int = Exit.OK) -> Any:
        self.captured.readouterr()
        assert run(["replay-dlq", *arguments, "--json"]) == code
        return json.loads(self.captured.readouterr().out)


@pytest.fixture
def desk(aws: Clients, stack: str, capsys: Captured) -> Desk:
    return Desk(aws, stack, capsys)


def test_list_shows_depth_age_and_causes_and_disturbs_nothing(desk: Desk) -> None:
    for n in range(12):
        desk.bury(body_of(f"A-{n}"))
    desk.bury("\ufffd not even JSON", fingerprint="beef", reason="unreadable")
    listed = {one["queue"]: one for one in desk.json("list")}
    rebill, collect = (listed[f"{desk.stack}-{name}-dlq"] for name in ("rebill", "collect"))
    assert (rebill["queue"], rebill["waiting"]) == (f"{desk.stack}-rebill-dlq", 13)
    assert {one["fingerprint"]: one["count"] for one in rebill["groups"]} == {
        "f00df00df00d": 12,
        "beef": 1,
    }
    assert rebill["oldest_at"].startswith("2026-02-27")
    assert collect["waiting"] == 0
    assert desk.depth("rebill-dlq") == (13, 0)
    assert run(["replay-dlq", "list"]) == Exit.OK
    assert "no such account" in desk.captured.readouterr().out


def test_plan_then_replay_of_what_was_buried_and_what_sqs_moved(desk: Desk) -> None:
    done = body_of("A-done")
    key = desk.finish(done)
    desk.bury(done)
    desk.bury("{}")
    desk.bury(body_of("A-1"), original_message_id="first-id")
    # SQS itself moves this one: received ten times, never finished.
    moved = body_of("A-2")
    desk.aws.sqs.send_message(QueueUrl=desk.url("rebill"), MessageBody=moved)
    for _ in range(12):
        desk.aws.sqs.receive_message(
            QueueUrl=desk.url("rebill"), VisibilityTimeout=0, WaitTimeSeconds=0
        )
    assert desk.depth("rebill-dlq") == (4, 0)

    [plan] = desk.json("replay", "--queue", "rebill")
    assert plan["verdicts"] == {"will-run": 2, "will-skip": 1, "unreadable": 1}
    assert (plan["is_dry_run"], plan["sent"]) == (True, 0)
    assert desk.depth("rebill-dlq") == (4, 0)
    assert desk.depth("rebill") == (0, 0)

    [report] = desk.json("replay", "--queue", "rebill", "--yes", code=Exit.FAILED)
    assert (report["sent"], report["taken_out"], report["failed"]) == (2, 2, 0)
    assert desk.depth("rebill-dlq") == (2, 0)
    home = {one["Body"]: one for one in desk.take("rebill")}
    assert {json.loads(body)["dedupekey"] for body in home} == {"A-1", "A-2"}
    attributes = home[moved]["MessageAttributes"]
    assert attributes["first_sent_at"]["StringValue"].startswith(str(datetime.now(UTC).year))
    assert attributes["replay_run"]["StringValue"] == report["run"]

    completed_at = next(one for one in plan["messages"] if one["key"] == key)["dedupe"][
        "completed_at"
    ]
    forced = ("--force-key", key, "--if-completed-at")
    arguments = ("replay", "--queue", "rebill", "--where", "accounts.account_id=A-done", *forced)
    [missed] = desk.json(*arguments, "2026-01-01T00:00:00+00:00", "--yes")
    assert missed["sent"] == 0
    [report] = desk.json(*arguments, completed_at, "--yes")
    assert report["sent"] == 1
    assert [json.loads(one["Body"])["dedupekey"] for one in desk.take("rebill")] == ["A-done"]


def test_show_tells_reason_history_body_and_what_dedupe_says(desk: Desk) -> None:
    body = body_of("A-1")
    key = desk.finish(body)
    message_id = desk.bury(body)
    for name in ("first-id", decode(body).id):
        assert desk.json("show", name)["message_id"] == message_id
    shown = desk.json("show", message_id)
    assert shown["reason"] == "no such account"
    assert (shown["verdict"], shown["key"]) == ("will-skip", key)
    assert shown["event"]["accounts"][0]["account_id"] == "A-1"
    assert shown["body"] == body
    assert run(["replay-dlq", "show", message_id]) == Exit.OK
    said = desk.captured.readouterr().out
    assert "--if-completed-at" in said
    assert desk.depth("rebill-dlq") == (1, 0)
    assert run(["replay-dlq", "show", "no-such-id"]) == Exit.FAILED


def test_edited_body_is_checked_sent_and_its_original_is_kept(desk: Desk, tmp_path: Path) -> None:
    body = body_of("A-1")
    broken = body.replace('"account_id":"A-1"', '"account_id":7')
    message_id = desk.bury(broken)
    wrong, right = tmp_path / "wrong.json", tmp_path / "right.json"
    wrong.write_text(broken.replace("7", "8"))
    right.write_text(json.dumps(json.loads(body), indent=2))
    [report] = [desk.json("edit", message_id, "--body", str(wrong), "--yes", code=Exit.FAILED)]
    assert report["verdicts"] == {"unreadable": 1}
    assert desk.depth("rebill-dlq") == (1, 0)
    assert desk.json("edit", message_id, "--body", str(right))["sent"] == 0
    assert desk.depth("rebill-dlq") == (1, 0)
    assert desk.json("edit", message_id, "--body", str(right), "--yes")["sent"] == 1
    assert desk.depth("rebill-dlq") == (0, 0)
    [home] = desk.take("rebill")
    assert decode(home["Body"]) == decode(body)
    [journal] = (tmp_path / "home" / "replay").glob("*-rebill-dlq-*.jsonl")
    kept = [json.loads(line).get("original_body") for line in journal.read_text().splitlines()]
    assert broken in kept


def test_editor_of_the_environment_edits_the_body(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = tmp_path / "editor.sh"
    editor.write_text('#!/bin/sh\nsed -i s/A-1/A-9/ "$1"\n')
    editor.chmod(0o700)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", str(editor))
    message_id = desk.bury(body_of("A-1"))
    assert run(["replay-dlq", "edit", message_id, "--yes"]) == Exit.OK
    [home] = desk.take("rebill")
    assert '"account_id":"A-9"' in home["Body"]


def test_export_mend_and_import_send_each_message_once(desk: Desk, tmp_path: Path) -> None:
    for n in range(15):
        desk.bury(body_of(f"A-{n}"), original_message_id=f"first-{n}")
    file = tmp_path / "dead.jsonl"
    assert run(["replay-dlq", "export", "--queue", "rebill", "-o", str(file)]) == Exit.OK
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_text().splitlines()) == 15
    assert desk.depth("rebill-dlq") == (15, 0)
    [plan] = desk.json("import", str(file))
    assert plan["verdicts"] == {"will-run": 15}
    [report] = desk.json("import", str(file), "--yes")
    assert report["sent"] == 15
    [again] = desk.json("import", str(file), "--yes")
    assert (again["sent"], again["verdicts"]) == (0, {"already-sent": 15})
    # They still lie in the dead-letter queue; replay only takes them out.
    [report] = desk.json("replay", "--queue", "rebill", "--yes")
    assert (report["sent"], report["taken_out"]) == (0, 15)
    assert len(desk.take("rebill")) == 15


def test_purge_asks_what_is_meant_counts_first_and_keeps_a_copy(desk: Desk) -> None:
    done = body_of("A-1")
    desk.finish(done)
    desk.bury(done)
    desk.bury(body_of("A-2"))
    assert run(["replay-dlq", "purge", "--queue", "rebill", "--yes"]) == Exit.USAGE
    assert run(["replay-dlq", "purge", "--everything", "--yes"]) == Exit.USAGE
    [counted] = desk.json("purge", "--queue", "rebill", "--done")
    assert (counted["meant"], counted["deleted"]) == (1, 0)
    [purged] = desk.json("purge", "--queue", "rebill", "--done", "--yes")
    assert purged["deleted"] == 1
    assert json.loads(Path(purged["copy"]).read_text())["body"] == done
    assert desk.depth("rebill-dlq") == (1, 0)


def test_any_queue_at_all_with_bodies_and_attributes_of_any_kind(
    desk: Desk, create_queue: Callable[..., str]
) -> None:
    dlq, queue = create_queue("orders-dlq"), create_queue("orders")
    large = "x" * (1024 * 1024)
    binary: Any = {"blob": {"DataType": "Binary", "BinaryValue": bytes(range(256))}}
    desk.aws.sqs.send_message(QueueUrl=dlq, MessageBody=large)
    desk.aws.sqs.send_message(
        QueueUrl=dlq, MessageBody=base64.b64encode(bytes(99)).decode(), MessageAttributes=binary
    )
    [lost] = desk.json("replay", "--queue", dlq, "--yes", code=Exit.FAILED)
    assert lost["verdicts"] == {"no-address": 2}
    [report] = desk.json("replay", "--queue", f"{desk.stack}-orders-dlq", "--to", queue, "--yes")
    assert report["verdicts"] == {"will-send": 2}
    home = sorted(desk.take("orders"), key=lambda one: len(one["Body"]))
    assert home[0]["MessageAttributes"]["blob"]["BinaryValue"] == bytes(range(256))
    assert home[1]["Body"] == large
    assert run(["replay-dlq", "replay", "--queue", "no-such-queue"]) == Exit.USAGE
    assert run(["replay-dlq", "replay", "--queue", dlq, "--to", dlq]) == Exit.USAGE


def test_fifo_queue_goes_home_in_order(desk: Desk, create_queue: Callable[..., str]) -> None:
    dlq = create_queue("cards-dlq.fifo", {"FifoQueue": "true"})
    queue = create_queue("cards.fifo", {"FifoQueue": "true"})
    for n in range(24):
        desk.aws.sqs.send_message(
            QueueUrl=dlq,
            MessageBody=str(n),
            MessageGroupId=f"card-{n % 2}",
            MessageDeduplicationId=str(n),
        )
    [report] = desk.json("replay", "--queue", dlq, "--to", queue, "--yes")
    assert report["taken_out"] == 24
    arrived: list[int] = []
    while len(arrived) < 24:
        batch = desk.aws.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
        for one in batch:
            arrived.append(int(one["Body"]))
            desk.aws.sqs.delete_message(QueueUrl=queue, ReceiptHandle=one["ReceiptHandle"])
    for card in (0, 1):
        mine = [n for n in arrived if n % 2 == card]
        assert mine == sorted(mine)
