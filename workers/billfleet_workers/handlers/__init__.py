"""One package per worker: what happens when its events arrive."""
