"""Replay: bring messages home from dead-letter queues, each once, and say why before.

`commands/replay_dlq` is its face. Reading, filtering, addressing and planning are pure; `run`
acts, `journal` remembers. It works through ports and knows no SDK.
"""
