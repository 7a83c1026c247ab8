"""A CloudFormation template as values, and its one spelling as YAML.

The generators of this package build `Template`s; `rendered` spells them the way a person would:
short intrinsic functions, a blank line between resources, comments where there is a why. It knows
no AWS service.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

Tree = dict[str, Any]
LINE_CHARS = 96
QUOTED_NAME = re.compile(r'!(Ref|GetAtt|Condition) "([\w.:]+)"')
"""PyYAML quotes whatever has a tag; a name reads better without."""
NAME_PATTERN = "[a-z][a-z0-9-]{0,40}"
STACK_PARAMETER: Mapping[str, Tree] = {
    "Stack": {
        "Type": "String",
        "Description": "Name of this installation; every physical name begins with it"
        " (BILLFLEET_STACK).",
        "AllowedPattern": NAME_PATTERN,
        "ConstraintDescription": "lower case letters, digits and hyphens, beginning with a letter,"
        " at most 41",
    }
}


@dataclass(frozen=True)
class Tag:
    """A short intrinsic function: `!Sub text`, `!If [a, b, c]`."""

    name: str
    value: Any


def sub(text: str) -> Tag:
    """`!Sub text`."""
    return Tag("Sub", text)


def ref(logical_id: str) -> Tag:
    """`!Ref logical_id`."""
    return Tag("Ref", logical_id)


def attribute(logical_id: str, name: str = "Arn") -> Tag:
    """`!GetAtt logical_id.name`."""
    return Tag("GetAtt", f"{logical_id}.{name}")


def imported(export: str) -> Tree:
    """The value that another stack of this installation exports as `<stack>-<export>`."""
    return {"Fn::ImportValue": sub(f"${{Stack}}-{export}")}


@dataclass(frozen=True)
class Part:
    """One resource: its logical id, its body, and why it is so, where that needs words."""

    logical_id: str
    body: Tree
    comment: str = ""


@dataclass(frozen=True)
class Template:
    """A whole template. Empty sections are left out."""

    description: str
    resources: Sequence[Part]
    outputs: Mapping[str, Tree]
    parameters: Mapping[str, Tree] = field(default_factory=lambda: STACK_PARAMETER)
    conditions: Mapping[str, Any] = field(default_factory=dict)
    mappings: Mapping[str, Any] = field(default_factory=dict)


def rendered(template: Template, *, generator: str) -> str:
    """The template's text, with a first line that says where it comes from."""
    sections = [
        f"# Written by `make templates` from {generator}: change that, not this file.\n"
        + _spelled({"AWSTemplateFormatVersion": "2010-09-09", "Description": template.description}),
        _spelled({"Parameters": dict(template.parameters)}),
    ]
    for name, values in (("Mappings", template.mappings), ("Conditions", template.conditions)):
        if values:
            sections.append(_spelled({name: dict(values)}))
    sections.append("Resources:\n" + "\n".join(map(_resource, template.resources)))
    if template.outputs:
        sections.append(_spelled({"Outputs": dict(template.outputs)}))
    return "\n".join(sections)


def _resource(part: Part) -> str:
    comment = "".join(f"# {line}\n" for line in part.comment.splitlines())
    text = comment + _spelled({part.logical_id: part.body})
    return "".join(f"  {line}" if line.strip() else line for line in text.splitlines(keepends=True))


class _Dumper(yaml.SafeDumper):
    """Knows `Tag`, indents lists, and never writes an anchor."""

    def ignore_aliases(self, _: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless
        return super().increase_indent(flow=flow, indentless=False)


def _represent_tag(dumper: yaml.SafeDumper, tag: Tag) -> yaml.Node:
    if isinstance(tag.value, str):
        return dumper.represent_scalar(f"!{tag.name}", tag.value, style='"')
    return dumper.represent_sequence(f"!{tag.name}", tag.value, flow_style=_is_short(tag.value))


def _is_short(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str | int | Tag) for value in values)


_Dumper.add_representer(Tag, _represent_tag)


def _spelled(tree: Mapping[str, Any]) -> str:
    text = yaml.dump(
        dict(tree), Dumper=_Dumper, sort_keys=False, width=LINE_CHARS, default_flow_style=False
    )
    return QUOTED_NAME.sub(r"!\1 \2", text)
