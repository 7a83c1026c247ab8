"""Rules that every template keeps: encrypted, private, with a place for the dead, least privilege.

Each exception stands here with its reason; a new template is under the rules by being there.
"""

from typing import Any

import pytest

from billfleet_contracts import QUEUES
from billfleet_ops.runbooks import Runbook
from billfleet_ops.schedules import SCHEDULES
from billfleet_ops.sizes import SIZES
from billfleet_workers.main import WORKERS
from template_reading import Declared, declared, statements, template_paths, tree

WILDCARD_RESOURCES = {
    "RegistryToken": "a registry token is for the whole registry",
    "OwnFiguresOnly": "PutMetricData knows no resources; a condition names the namespace",
}
"""Statements of roles that name no resource, by Sid, each with its reason."""
WITHOUT_LETTERS = {
    "UnstartedSweeps": "it is itself where failures rest, and nobody receives from it",
}
TEMPLATE_BYTES_MAX = 51_200
"""What CloudFormation takes in a call; above it a template goes by way of a bucket."""
POLICY_CHARS_MAX = 6_144

QUEUE_RESOURCES = declared("AWS::SQS::Queue")


def plain(resources: list[Declared]) -> list[str]:
    return [str(resource) for resource in resources]


def test_every_queue_is_encrypted() -> None:
    queues = [queue for queue in QUEUE_RESOURCES if queue.kind == "AWS::SQS::Queue"]
    assert plain([q for q in queues if q.properties.get("SqsManagedSseEnabled") is not True]) == []


def test_every_queue_has_a_dead_letter_queue_or_is_one() -> None:
    for queue in (q for q in QUEUE_RESOURCES if q.kind == "AWS::SQS::Queue"):
        if queue.logical_id not in WITHOUT_LETTERS:
            is_letters = queue.logical_id.endswith("DeadLetterQueue")
            assert ("RedrivePolicy" in queue.properties) != is_letters, queue
            assert "RedriveAllowPolicy" in queue.properties, queue


def test_every_topic_is_encrypted() -> None:
    bare = [topic for topic in declared("AWS::SNS::Topic") if topic.kind == "AWS::SNS::Topic"]
    assert plain([topic for topic in bare if "KmsMasterKeyId" not in topic.properties]) == []


def test_every_table_is_encrypted_and_can_be_restored_to_a_moment() -> None:
    for table in declared("AWS::DynamoDB::Table"):
        assert table.properties["SSESpecification"] == {"SSEEnabled": True}, table
        recovery = table.properties["PointInTimeRecoverySpecification"]
        assert recovery == {"PointInTimeRecoveryEnabled": True}, table


def test_every_bucket_is_private_encrypted_and_forgets_uploads_that_broke_off() -> None:
    for bucket in (b for b in declared("AWS::S3::Bucket") if b.kind == "AWS::S3::Bucket"):
        assert set(bucket.properties["PublicAccessBlockConfiguration"].values()) == {True}, bucket
        assert bucket.properties["BucketEncryption"], bucket
        rules = bucket.properties["LifecycleConfiguration"]["Rules"]
        assert any("AbortIncompleteMultipartUpload" in rule for rule in rules), bucket


def test_the_database_is_encrypted_private_backed_up_and_speaks_only_tls() -> None:
    (database,) = declared("AWS::RDS::DBInstance")
    assert database.properties["StorageEncrypted"] is True
    assert database.properties["PubliclyAccessible"] is False
    assert database.body["DeletionPolicy"] == "Snapshot"
    (settings,) = declared("AWS::RDS::DBParameterGroup")
    assert settings.properties["Parameters"]["rds.force_ssl"] == "1"
    sizes = tree(next(p for p in template_paths() if p.stem == "database"))["Mappings"]["Sizes"]
    assert sizes["prod"]["BackupDays"] >= 7
    assert sizes["dev"]["Class"] != sizes["prod"]["Class"]


def test_no_role_has_a_wildcard_action_nor_a_wildcard_resource_without_a_reason() -> None:
    for holder in [*declared("AWS::IAM::Role"), *declared("AWS::IAM::ManagedPolicy")]:
        for statement in statements(holder):
            actions = statement["Action"]
            for action in [actions] if isinstance(actions, str) else actions:
                assert "*" not in action, f"{holder}: {action}"
            if statement["Resource"] == "*":
                assert statement["Sid"] in WILDCARD_RESOURCES, f"{holder}: {statement['Sid']}"


def test_every_role_that_a_service_takes_on_is_for_this_account_alone() -> None:
    for role in declared("AWS::IAM::Role"):
        for statement in role.properties["AssumeRolePolicyDocument"]["Statement"]:
            assert "Condition" in statement, role


def test_the_policy_of_the_replay_operator_is_short_enough_for_iam() -> None:
    (policy,) = declared("AWS::IAM::ManagedPolicy")
    text = str(policy.properties["PolicyDocument"]).replace(" ", "")
    resolved = text.replace("${AWS::AccountId}", "123456789012").replace("${AWS::", "${")
    assert len(resolved) < POLICY_CHARS_MAX * 1.4, "shorter names, or a second policy"


def test_every_container_is_nobody_on_a_read_only_root_and_drains_before_it_is_killed() -> None:
    for task in declared("AWS::ECS::TaskDefinition"):
        main = task.properties["ContainerDefinitions"][0]
        assert main["ReadonlyRootFilesystem"] is True, task
        assert not main["User"].startswith("0"), task
        variables = {each["Name"]: each["Value"] for each in main["Environment"]}
        if "worker" in main["Command"]:
            relay_s, end_s = 5, 10
            drain_s = int(variables["BILLFLEET_DRAIN_DEADLINE_S"])
            assert drain_s + relay_s + end_s <= main["StopTimeout"], task
        assert not {"PGPASSWORD", "BILLFLEET_STRIPE_API_KEY"} & set(variables), task


def test_no_security_group_takes_in_the_world_but_the_load_balancer() -> None:
    open_groups = {
        str(group)
        for group in declared("AWS::EC2::SecurityGroup")
        for rule in [*group.properties.get("SecurityGroupIngress", []), group.properties]
        if rule.get("CidrIp") == "0.0.0.0/0"
        and "Ingress" not in group.kind.removesuffix("Ingress")
        and not group.kind.endswith("Egress")
    }
    assert open_groups == {"network:LoadBalancerGroup"}


def test_every_alarm_names_a_page_that_exists_and_tells_somebody() -> None:
    pages = {str(page) for page in Runbook}
    alarms = declared("AWS::CloudWatch::Alarm")
    for alarm in alarms:
        said = alarm.properties["AlarmDescription"]["Sub"]
        assert said.rpartition("${Pages}/")[2] in pages, alarm
        assert alarm.properties["AlarmActions"], alarm
    assert len({alarm.properties["AlarmName"]["Sub"] for alarm in alarms}) == len(alarms)


@pytest.mark.parametrize("queue", QUEUES.values(), ids=list(QUEUES))
def test_each_queue_has_alarms_for_its_letters_and_its_age(queue: Any) -> None:
    watched = {
        (alarm.properties["MetricName"], str(alarm.properties["Dimensions"][0]["Value"]))
        for alarm in declared("AWS::CloudWatch::Alarm")
        if alarm.properties.get("Namespace") == "AWS/SQS"
    }
    letters = str({"Sub": f"${{Stack}}-{queue.dlq_name}"})
    assert ("ApproximateNumberOfMessagesVisible", letters) in watched
    age = str({"Sub": f"${{Stack}}-{queue.name}"})
    assert ("ApproximateAgeOfOldestMessage", age) in watched


def test_the_alarms_that_were_asked_for_are_there() -> None:
    """Error rate, CPU, connections, disk, dead letters, age, drain: each by the name it has."""
    names = {a.properties["AlarmName"]["Sub"] for a in declared("AWS::CloudWatch::Alarm")}
    asked = "error-rate database-cpu database-connections database-disk cpu-rebill drain-slow"
    assert {f"${{Stack}}-{name}" for name in asked.split()} <= names


def test_every_worker_has_a_service_and_every_sweep_a_schedule() -> None:
    services = {service.properties["ServiceName"] for service in declared("AWS::ECS::Service")}
    assert set(WORKERS) <= services
    assert {spec.worker for spec in QUEUES.values()} <= services
    schedules = {s.properties["Name"]["Sub"] for s in declared("AWS::Scheduler::Schedule")}
    assert schedules == {f"${{Stack}}-sweep-{schedule.sweep}" for schedule in SCHEDULES}


def test_no_size_is_kept_for_a_worker_that_is_gone() -> None:
    known = {spec.worker for spec in QUEUES.values()} | set(WORKERS)
    assert set(SIZES) <= known


def test_the_budget_speaks_at_one_and_at_fifty_percent() -> None:
    (budget,) = declared("AWS::Budgets::Budget")
    told = budget.properties["NotificationsWithSubscribers"]
    actual = {
        each["Notification"]["Threshold"]
        for each in told
        if each["Notification"]["NotificationType"] == "ACTUAL"
    }
    assert actual == {1, 50}


def test_what_is_deployed_without_a_bucket_is_small_enough() -> None:
    sizes = {path.stem: path.stat().st_size for path in template_paths() if path.stem != "services"}
    assert [name for name, size in sizes.items() if size >= TEMPLATE_BYTES_MAX] == []


def test_every_import_is_exported_by_another_template() -> None:
    exported = {
        str(output["Export"]["Name"]["Sub"])
        for path in template_paths()
        for output in tree(path).get("Outputs", {}).values()
        if "Export" in output
    }
    wanted: set[str] = set()
    for path in template_paths():
        wanted |= set(_imports(tree(path)))
    assert wanted <= exported


def _imports(node: Any) -> list[str]:
    if isinstance(node, list):
        return [found for item in node for found in _imports(item)]
    if not isinstance(node, dict):
        return []
    here = [str(node["Fn::ImportValue"]["Sub"])] if "Fn::ImportValue" in node else []
    return here + [found for item in node.values() for found in _imports(item)]
