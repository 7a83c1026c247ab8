"""The feedback worker: what the mail service tells us about mails that we sent.

`handler` is the door for the runtime; `verifying` and `reading` are pure.
"""
