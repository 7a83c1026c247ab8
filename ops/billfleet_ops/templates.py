"""Reads the CloudFormation templates in ops/aws as what they promise to create.

`resources` compares the promise with what exists, `local.deploy` sends the templates to an
endpoint, tests compare them with the catalogue. It resolves the few intrinsic functions that
our templates use, refuses any other, and calls no AWS API.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_PACKAGE = Path(__file__).parent
TEMPLATE_NAMES = ("messaging", "data")
ARN_NAMES = {
    "AWS::SQS::Queue": ("sqs", "QueueName", ""),
    "AWS::SNS::Topic": ("sns", "TopicName", ""),
    "AWS::DynamoDB::Table": ("dynamodb", "TableName", "table/"),
    "AWS::S3::Bucket": ("s3", "BucketName", ""),
}


@dataclass(frozen=True)
class Place:
    """Where a stack lives: what `AWS::Region` and its like stand for, and the Stack parameter."""

    stack: str
    region: str
    account_id: str
    partition: str = "aws"

    def variables(self) -> dict[str, str]:
        """The values of the names that a template may refer to."""
        return {
            "Stack": self.stack,
            "AWS::Region": self.region,
            "AWS::AccountId": self.account_id,
            "AWS::Partition": self.partition,
        }


@dataclass(frozen=True)
class Resource:
    """One resource of a template, its properties with all references resolved."""

    logical_id: str
    kind: str
    properties: Mapping[str, Any]


def template_body(name: str) -> str:
    """The text of `messaging` or `data`, as CloudFormation takes it."""
    return template_folder().joinpath(f"{name}.yaml").read_text()


def resources_of(name: str, place: Place) -> list[Resource]:
    """What the template creates at this place, in the order in which it is written."""
    declared = yaml.load(template_body(name), Loader=_Loader)["Resources"]  # noqa: S506 - ours, on SafeLoader
    resolver = _Resolver(place.variables(), declared)
    return [
        Resource(logical_id, body["Type"], resolver.value(body["Properties"]))
        for logical_id, body in declared.items()
    ]


def template_folder() -> Path:
    """Inside the package when installed from a wheel, beside it in a checkout."""
    inside = _PACKAGE / "aws"
    return inside if inside.is_dir() else _PACKAGE.parent / "aws"


class _Loader(yaml.SafeLoader):
    """Reads `!Sub text` as {"Sub": text}, and so on."""


def _tagged(loader: Any, tag: str, node: Any) -> dict[str, Any]:
    if not isinstance(node, yaml.ScalarNode):
        raise TypeError(f"!{tag} with anything but a plain value is not used in our templates")
    return {tag: loader.construct_scalar(node)}


_Loader.add_multi_constructor("!", _tagged)


class _Resolver:
    def __init__(self, variables: Mapping[str, str], declared: Mapping[str, Any]) -> None:
        self._variables = variables
        self._declared = declared

    def value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.value(item) for item in node]
        if not isinstance(node, dict):
            return node
        if set(node) == {"Sub"}:
            return self._substituted(node["Sub"])
        if set(node) == {"Ref"}:
            return self._variables.get(node["Ref"]) or self._arn(node["Ref"])
        if set(node) == {"GetAtt"}:
            return self._arn(node["GetAtt"].removesuffix(".Arn"))
        return {key: self.value(item) for key, item in node.items()}

    def _substituted(self, text: str) -> str:
        for name, value in self._variables.items():
            text = text.replace(f"${{{name}}}", value)
        return text

    def _arn(self, logical_id: str) -> str:
        body = self._declared[logical_id]
        service, name_property, prefix = ARN_NAMES[body["Type"]]
        name = self.value(body["Properties"][name_property])
        variables = self._variables
        if service == "s3":
            # One name space for the whole world: neither region nor account is part of it.
            return f"arn:{variables['AWS::Partition']}:s3:::{name}"
        return (
            f"arn:{variables['AWS::Partition']}:{service}:{variables['AWS::Region']}"
            f":{variables['AWS::AccountId']}:{prefix}{name}"
        )
