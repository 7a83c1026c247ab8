"""The mail worker: events become mails, rendered from templates and sent once.

`handler` is the door for the runtime; `rendering` and `message` are pure and also serve previews
and the benchmark.
"""
