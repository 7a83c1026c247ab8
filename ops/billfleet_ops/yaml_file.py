"""A YAML or JSON file as a model, checked as strictly as a message would be.

Programmes and businesses are read through it. Each mistake is named with its place. It writes
nothing.
"""

import json
from datetime import date
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from billfleet_ops.errors import UsageWrong, from_os_error

MISTAKES_SHOWN_MAX = 10

Model = TypeVar("Model", bound=BaseModel)


def read_model(path: Path, model: type[Model], *, what: str, remedy: str) -> Model:
    """What the file says.

    Raises:
        UsageWrong: the file can't be read as that; each mistake is named.
        OpsError: the file can't be opened.
    """

    def wrong(why: str) -> UsageWrong:
        return UsageWrong(f"This is no {what}: {why}", where=str(path), remedy=remedy)

    try:
        loaded = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise from_os_error(error, str(path)) or wrong(str(error)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise wrong(f"it is neither YAML nor JSON: {error}") from error
    try:
        # Through JSON, because that is how strictly a message would be read.
        return model.model_validate_json(json.dumps(loaded, default=_time_as_text))
    except ValidationError as error:
        mistakes = [
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()
        ]
        raise wrong("; ".join(mistakes[:MISTAKES_SHOWN_MAX])) from error


def _time_as_text(value: object) -> str:
    """YAML has read what looks like a time as one."""
    return value.isoformat() if isinstance(value, date) else str(value)
