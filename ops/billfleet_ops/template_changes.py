"""What a deployment would change: the templates of this version against those deployed.

`billfleet deploy plan` prints it. It reads deployed templates and changes nothing; on AWS the
pipeline's change set then says the same with every property.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from botocore.exceptions import ClientError

from billfleet_ops.clients import Clients, aws_errors_mapped
from billfleet_ops.templates import template_body

ORDER: Final = (
    "network",
    "database",
    "data",
    "messaging",
    "mail",
    "services",
    "observability",
    "budget",
)
"""The order in which they are deployed: each imports only from those before it."""
HOLDS_WORK: Final = (
    "AWS::SQS::Queue",
    "AWS::DynamoDB::Table",
    "AWS::S3::Bucket",
    "AWS::RDS::DBInstance",
    "AWS::SNS::Topic",
)


@dataclass(frozen=True)
class TemplateChange:
    """One template: is it deployed, and what differs."""

    name: str
    is_deployed: bool
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    loses: list[str] = field(default_factory=list)
    """Removed resources that hold work or data; they are retained, and nobody looks after them."""

    @property
    def is_unchanged(self) -> bool:
        """Whether a deployment would do nothing."""
        return self.is_deployed and not (self.added or self.changed or self.removed)


def changes(clients: Clients, stack: str) -> list[TemplateChange]:
    """Every template of this version, in the order of deployment."""
    with aws_errors_mapped(clients):
        return [_change(clients, stack, name) for name in ORDER]


def _change(clients: Clients, stack: str, name: str) -> TemplateChange:
    new = _resources(template_body(name))
    deployed = _deployed(clients, f"{stack}-{name}")
    if deployed is None:
        return TemplateChange(name, is_deployed=False, added=sorted(new))
    old = _resources(deployed)
    removed = sorted(set(old) - set(new))
    return TemplateChange(
        name,
        is_deployed=True,
        added=sorted(set(new) - set(old)),
        changed=sorted(one for one in set(new) & set(old) if new[one] != old[one]),
        removed=removed,
        loses=[one for one in removed if old[one]["Type"] in HOLDS_WORK],
    )


def _deployed(clients: Clients, stack_name: str) -> str | None:
    try:
        answer: Any = clients.cloudformation.get_template(
            StackName=stack_name, TemplateStage="Original"
        )
    except ClientError as error:
        if "does not exist" not in str(error):
            raise
        return None
    body = answer["TemplateBody"]
    return body if isinstance(body, str) else yaml.safe_dump(body)


def _resources(text: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.load(text, Loader=_Loader)["Resources"]  # noqa: S506 - a SafeLoader
    return found


class _Loader(yaml.SafeLoader):
    """Reads `!Sub text` as {"Sub": text}, whatever the value is."""


def _tagged(loader: Any, tag: str, node: Any) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {tag: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {tag: loader.construct_sequence(node, deep=True)}
    return {tag: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _tagged)
