"""How dedupe records are written: the PartiQL statements and DynamoDB's attribute values.

The DynamoDB store calls it. Pure. Each statement may be repeated without harm, because the
answer to it may be lost; and each but the insert names the token that it relies on, so that a
worker that lost its lease can't write over the next one. It must not know when to write what.

Items: `pk`, `state`, `payload_hash`, `token`, `lease_until` and `completed_at` (milliseconds
since 1970), `expires_at` (seconds: the table's TTL attribute), `note`. All are always there.
"""

from collections.abc import Mapping
from functools import lru_cache

from billfleet_workers.adapters.dedupe_records import (
    NOBODY,
    NOTE_CHARS_MAX,
    RELEASED_MS,
    Entry,
    claim_end_s,
    released_note,
)
from billfleet_workers.adapters.partiql import Statement, Value
from billfleet_workers.runtime.ports.dedupe import Completion, Held

_INSERT = (
    """INSERT INTO "<table>" VALUE {'pk': ?, 'state': ?, 'payload_hash': ?, 'token': ?,"""
    """ 'lease_until': ?, 'completed_at': ?, 'expires_at': ?, 'note': ?}"""
)
_REPLACE = (
    'UPDATE "<table>" SET "state"=? SET "payload_hash"=? SET "token"=?'
    ' SET "lease_until"=? SET "completed_at"=? SET "expires_at"=? SET "note"=?'
    ' WHERE "pk"=? AND "state"=? AND "token"=? AND "lease_until"=? AND "expires_at"=?'
)
_COMPLETE = (
    'UPDATE "<table>" SET "state"=? SET "completed_at"=? SET "expires_at"=? SET "note"=?'
    ' WHERE "pk"=? AND "token"=?'
)
_EXTEND = (
    'UPDATE "<table>" SET "lease_until"=? SET "expires_at"=?'
    ' WHERE "pk"=? AND "token"=? AND "state"=?'
)
_SET_FREE = (
    'UPDATE "<table>" SET "token"=? SET "lease_until"=? SET "note"=?'
    ' WHERE "pk"=? AND "token"=? AND "state"=?'
)
_RELEASE = 'DELETE FROM "<table>" WHERE "pk"=? AND "token"=? AND "state"=? RETURNING ALL OLD *'
_FORGET = (
    'DELETE FROM "<table>" WHERE "pk"=? AND "state"=? AND "completed_at"=? RETURNING ALL OLD *'
)

_CLAIMED: Value = {"S": "claimed"}
_DONE: Value = {"S": "done"}


class Statements:
    """The statements for one table."""

    def __init__(self, table: str) -> None:
        def on_table(text: str) -> str:
            return text.replace("<table>", table)

        self._insert, self._replace = on_table(_INSERT), on_table(_REPLACE)
        self._complete, self._extend = on_table(_COMPLETE), on_table(_EXTEND)
        self._set_free, self._release = on_table(_SET_FREE), on_table(_RELEASE)
        self._forget = on_table(_FORGET)

    def insert(self, key: str, entry: Entry) -> Statement:
        """A record for a key that has none; `DuplicateItem` if it has one."""
        return Statement(self._insert, (_text(key), *_values(entry)))

    def replace(self, key: str, seen: Entry, mine: Entry) -> Statement:
        """Take over the record that was seen, and only that.

        State and expiry are compared too: the former owner may complete at this very moment,
        and its token and lease stay as they were.
        """
        unchanged = (_text(seen.state), _text(seen.token), _number(seen.lease_until_ms))
        return Statement(
            self._replace,
            (*_values(mine), _text(key), *unchanged, _number(seen.expires_s)),
        )

    def complete(self, one: Completion, completed_ms: int, expires_s: int) -> Statement:
        """Record as done, whether claimed or done before with the same token."""
        done = (_DONE, _number(completed_ms), _number(expires_s), _note(one.note))
        return Statement(self._complete, (*done, _text(one.key), _text(one.token)))

    def extend(self, held: Held, lease_until_ms: int) -> Statement:
        """Move the end of a claim."""
        ends = (_number(lease_until_ms), _number(claim_end_s(lease_until_ms)))
        return Statement(self._extend, (*ends, *_ours(held)))

    def release(self, held: Held) -> Statement:
        """Delete a claim, or leave its failed attempts behind.

        After a deletion the answer has the item where there was one to delete.
        """
        if held.failed_attempts:
            # Its token goes too: a heartbeat that is under way must not bring it back to life.
            note = _note(released_note(held.failed_attempts))
            nobodys = (_text(NOBODY), _number(RELEASED_MS), note)
            return Statement(self._set_free, (*nobodys, *_ours(held)))
        return Statement(self._release, _ours(held))

    def forget(self, key: str, completed_ms: int) -> Statement:
        """Delete the record of work done at that moment. The answer has the item if there was."""
        return Statement(self._forget, (_text(key), _DONE, _number(completed_ms)))


def entry_of(item: Mapping[str, Value]) -> Entry:
    """The record in a stored item."""
    return Entry(
        state="done" if item["state"]["S"] == "done" else "claimed",
        payload_hash=item["payload_hash"]["S"],
        token=item["token"]["S"],
        lease_until_ms=int(item["lease_until"]["N"]),
        completed_ms=int(item["completed_at"]["N"]),
        expires_s=int(item["expires_at"]["N"]),
        note=item["note"]["S"],
    )


def _ours(held: Held) -> tuple[Value, ...]:
    return (_text(held.key), _text(held.token), _CLAIMED)


def _values(entry: Entry) -> tuple[Value, ...]:
    return (
        _CLAIMED,  # only claims are written whole
        _text(entry.payload_hash),
        _text(entry.token),
        _number(entry.lease_until_ms),
        _number(entry.completed_ms),
        _number(entry.expires_s),
        _note(entry.note),
    )


def _text(value: str) -> Value:
    return {"S": value}


# The records of one call share their times.
@lru_cache(maxsize=64)
def _number(value: int) -> Value:
    return {"N": str(value)}


def _note(value: str) -> Value:
    if value.isascii():
        return {"S": value[:NOTE_CHARS_MAX]}
    return {"S": value[:NOTE_CHARS_MAX].encode(errors="replace").decode()}
