"""Collecting garbage less often: a worker makes many objects that live for one message.

A host calls it once, when everything that stays has been made. Reference counts free nearly all
that a message leaves behind; the collector only looks for cycles, and by default looks at what
is in flight after every 700 objects. That took a sixth of the CPU of a message.
"""

import gc

YOUNG_MAX = 10_000
"""About a hundred messages of a hundred accounts: some megabytes."""


def collect_less_often() -> None:
    """Leave out of every collection what has been made by now, and collect more rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, 20, 50)
