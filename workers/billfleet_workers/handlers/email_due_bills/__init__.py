"""The due-bills worker: somebody asks what an account owes, and at most one mail an hour says it.

`handler` is the door for the runtime; `deciding` is pure; `bill_file` makes the PDF of a bill.
"""
