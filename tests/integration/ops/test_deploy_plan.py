"""`billfleet deploy` against an endpoint: creates, says nothing changed, and says what would."""

import json
from pathlib import Path

import pytest

from billfleet_ops.cli import run
from billfleet_ops.clients import Clients
from billfleet_ops.exits import Exit
from billfleet_ops.template_changes import changes


def test_a_stack_is_made_once_and_what_differs_is_named(
    aws: Clients,
    aws_environment: dict[str, str],
    stack_name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    del aws_environment
    monkeypatch.setenv("BILLFLEET_STACK", stack_name)
    monkeypatch.setenv("BILLFLEET_HOME", str(tmp_path))
    assert run(["deploy", "stand-in", "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["created"][0] == f"{stack_name}-messaging"
    found = {change.name: change for change in changes(aws, stack_name)}
    assert found["messaging"].is_unchanged
    assert found["data"].is_unchanged
    assert not found["services"].is_deployed
    assert run(["deploy", "plan", "--json"]) == Exit.OK
    said = json.loads(capsys.readouterr().out)
    assert said["usd_per_month"] == round(sum(cost["usd"] for cost in said["costs"]), 2)


def test_a_queue_that_this_version_does_not_have_is_called_work_that_nobody_reads(
    aws: Clients, stack_name: str
) -> None:
    body = """
Resources:
  OldQueue: {Type: "AWS::SQS::Queue", Properties: {QueueName: %s-old}}
  RebillQueue: {Type: "AWS::SQS::Queue", Properties: {QueueName: %s-rebill}}
"""
    aws.cloudformation.create_stack(
        StackName=f"{stack_name}-messaging", TemplateBody=body.replace("%s", stack_name)
    )
    found = {change.name: change for change in changes(aws, stack_name)}["messaging"]
    assert found.removed == found.loses == ["OldQueue"]
    assert "RebillQueue" in found.changed
    assert "EventsTopic" in found.added


def test_without_a_stand_in_nothing_is_deployed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("BILLFLEET_HOME", str(tmp_path))
    assert run(["deploy", "stand-in"]) == Exit.REFUSED
