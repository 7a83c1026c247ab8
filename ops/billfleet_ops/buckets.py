"""Reads a bucket as CloudFormation would spell it, and sets what its template promises.

`resources` uses it for the one kind of resource whose API speaks another language than its
template: each property has a call of its own, and other names inside.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NOT_SET = {
    "NoSuchLifecycleConfiguration",
    "NoSuchPublicAccessBlockConfiguration",
    "OwnershipControlsNotFoundError",
    "ServerSideEncryptionConfigurationNotFoundError",
}
BUCKET_ATTRIBUTES = {
    "BucketEncryption",
    "LifecycleConfiguration",
    "NotificationConfiguration",
    "OwnershipControls",
    "PublicAccessBlockConfiguration",
}


def read_bucket(s3: "S3Client", name: str) -> Mapping[str, Any]:
    """The bucket's properties in the template's words; what is not set is left out."""
    s3.head_bucket(Bucket=name)
    readers: Mapping[str, Callable[[], Any]] = {
        "BucketEncryption": lambda: _encryption(s3, name),
        "LifecycleConfiguration": lambda: _lifecycle(s3, name),
        "NotificationConfiguration": lambda: _notification(s3, name),
        "OwnershipControls": lambda: s3.get_bucket_ownership_controls(Bucket=name)[
            "OwnershipControls"
        ],
        "PublicAccessBlockConfiguration": lambda: s3.get_public_access_block(Bucket=name)[
            "PublicAccessBlockConfiguration"
        ],
    }
    found = {attribute: _unless_unset(read) for attribute, read in readers.items()}
    return {attribute: value for attribute, value in found.items() if value is not None}


def correct_bucket(s3: "S3Client", name: str, attribute: str, wanted: Any) -> bool:
    """Set one property as its template says; False when it is none that can be set."""
    if attribute == "LifecycleConfiguration":
        rules = [_to_api_rule(rule) for rule in wanted["Rules"]]
        s3.put_bucket_lifecycle_configuration(
            Bucket=name, LifecycleConfiguration=cast("Any", {"Rules": rules})
        )
    elif attribute == "BucketEncryption":
        by_default = [
            {"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]}
            for rule in wanted["ServerSideEncryptionConfiguration"]
        ]
        s3.put_bucket_encryption(
            Bucket=name, ServerSideEncryptionConfiguration=cast("Any", {"Rules": by_default})
        )
    elif attribute == "NotificationConfiguration":
        told = [_to_api_told(one) for one in wanted["QueueConfigurations"]]
        s3.put_bucket_notification_configuration(
            Bucket=name, NotificationConfiguration=cast("Any", {"QueueConfigurations": told})
        )
    elif attribute == "OwnershipControls":
        s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls=wanted)
    elif attribute == "PublicAccessBlockConfiguration":
        s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=wanted)
    else:
        return False
    return True


def _unless_unset(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in NOT_SET:
            return None
        raise


def _encryption(s3: "S3Client", name: str) -> dict[str, Any]:
    answer = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]
    return {
        "ServerSideEncryptionConfiguration": [
            {"ServerSideEncryptionByDefault": rule.get("ApplyServerSideEncryptionByDefault", {})}
            for rule in answer["Rules"]
        ]
    }


def _lifecycle(s3: "S3Client", name: str) -> dict[str, Any]:
    answer = s3.get_bucket_lifecycle_configuration(Bucket=name)
    return {"Rules": [_to_template_rule(cast("Any", rule)) for rule in answer.get("Rules", [])]}


def _notification(s3: "S3Client", name: str) -> dict[str, Any] | None:
    answer = s3.get_bucket_notification_configuration(Bucket=name)
    told = [
        {
            "Event": event,
            "Queue": one["QueueArn"],
            "Filter": {
                "S3Key": {
                    "Rules": [
                        # S3 answers with a capital what it took without.
                        {"Name": rule["Name"].lower(), "Value": rule["Value"]}
                        for rule in one.get("Filter", {}).get("Key", {}).get("FilterRules", [])
                    ]
                }
            },
        }
        for one in answer.get("QueueConfigurations", [])
        for event in one["Events"]
    ]
    return {"QueueConfigurations": told} if told else None


def _to_api_told(one: Mapping[str, Any]) -> dict[str, Any]:
    rules = one["Filter"]["S3Key"]["Rules"]
    return {
        "QueueArn": one["Queue"],
        "Events": [one["Event"]],
        "Filter": {"Key": {"FilterRules": rules}},
    }


def _to_api_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    spelled: dict[str, Any] = {
        "ID": rule["Id"],
        "Status": rule["Status"],
        "Filter": {"Prefix": rule["Prefix"]},
    }
    if "ExpirationInDays" in rule:
        spelled["Expiration"] = {"Days": rule["ExpirationInDays"]}
    if "AbortIncompleteMultipartUpload" in rule:
        spelled["AbortIncompleteMultipartUpload"] = rule["AbortIncompleteMultipartUpload"]
    return spelled


def _to_template_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    spelled: dict[str, Any] = {
        "Id": rule.get("ID"),
        "Status": rule.get("Status"),
        "Prefix": rule.get("Filter", {}).get("Prefix", rule.get("Prefix", "")),
    }
    if "Expiration" in rule:
        spelled["ExpirationInDays"] = rule["Expiration"].get("Days")
    if "AbortIncompleteMultipartUpload" in rule:
        spelled["AbortIncompleteMultipartUpload"] = rule["AbortIncompleteMultipartUpload"]
    return spelled
