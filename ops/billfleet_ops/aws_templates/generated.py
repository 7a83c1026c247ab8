"""Which templates are generated, written to their folder or compared with it.

The command of this package and a test use it. A new generated template is a line in `texts`.
"""

from pathlib import Path

from billfleet_contracts import QUEUES, TOPICS
from billfleet_ops.aws_templates.document import rendered
from billfleet_ops.aws_templates.messaging import messaging
from billfleet_ops.aws_templates.observability import observability
from billfleet_ops.aws_templates.services import services


def texts() -> dict[str, str]:
    """Every generated template by file name."""
    catalogue = "billfleet_contracts.QUEUES and TOPICS"
    workers = "the catalogue, WorkerSpec.permissions, sizes.py and schedules.py"
    return {
        "messaging.yaml": rendered(messaging(QUEUES, TOPICS), generator=catalogue),
        "observability.yaml": rendered(observability(), generator="the table in alarms.py"),
        "services.yaml": rendered(services(), generator=workers),
    }


def find_drift(directory: Path) -> list[str]:
    """Which committed templates differ from what is generated."""
    return [
        f"{name} is out of date: run `make templates` and commit it."
        for name, text in texts().items()
        if not (directory / name).is_file() or (directory / name).read_text("utf-8") != text
    ]


def write(directory: Path) -> list[str]:
    """Write every template; returns the names of those that changed."""
    changed = []
    for name, text in texts().items():
        path = directory / name
        if not path.is_file() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            changed.append(name)
    return changed
