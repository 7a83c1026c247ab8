"""`billfleet analytics files`: the raw files that hold every exported event once.

`commands.analytics` adds it to its group. The list comes from the manifest in one reading, so
whoever reads just these files counts nothing twice, also while a sweep merges small files.
"""

import asyncio
from datetime import datetime
from typing import Annotated

import typer

from billfleet_ops import analytics_lookup as lookup
from billfleet_ops.configuration import load_settings
from billfleet_ops.output import Output


def files(
    tenant: Annotated[
        str | None, typer.Option("--tenant", help="This tenant; all without.")
    ] = None,
    day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="A UTC day; all without it.")
    ] = None,
    duckdb: Annotated[
        bool, typer.Option("--duckdb", help="As a table to select from in DuckDB.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With rows and SHA-256.")] = False,
) -> None:
    """List the raw files that hold every exported event once.

    For an hour after small files were merged the old ones still lie beside the new one, for those
    who had listed them: a pattern such as raw/*/*/*.parquet may count events twice. This list
    never does, and stays readable for that hour.
    """
    settings, output = load_settings(), Output()
    if tenant is not None:
        lookup.one_tenant(settings, tenant)
    live = asyncio.run(lookup.raw_files(settings, tenant, day.date() if day else None))
    if not live:
        output.note("Nothing has been exported yet: `billfleet sweep analytics` does it.")
    places = [f"s3://{settings.bucket()}/{one.object_key}" for one in live]
    if as_json:
        output.json(
            [
                {"file": place, "rows": one.rows, "bytes": one.bytes_count, "sha256": one.sha256}
                for place, one in zip(places, live, strict=True)
            ]
        )
    elif duckdb:
        # Ids of tenants have no quotes, and the names of files are ours.
        quoted = ", ".join(f"'{place}'" for place in places)
        output.say(f"read_parquet([{quoted}], hive_partitioning = true)")
    else:
        for place in places:
            output.say(place)
