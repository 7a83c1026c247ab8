"""Writes those CloudFormation templates that repeat themselves per queue or worker.

`python -m billfleet_ops.aws_templates` writes them into ops/aws, with `--check` it fails on a
difference; tests and `make check` do that. What is made once (network, tables, budget) is written
by hand. Nothing here calls AWS.
"""
