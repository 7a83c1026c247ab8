"""What a dedupe record means at a moment: the rules of the claim protocol, without a store.

The DynamoDB store and its in-memory twin both decide through `judge`, so that they can't differ.
It must not know how a record is kept. Expiry is read off the record and compared with the time
passed in; whether the store has deleted the record yet plays no part (R45).
"""

from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from billfleet_workers.runtime.ports.dedupe import (
    AlreadyDone,
    ClaimAnswer,
    Claimed,
    ClaimRequest,
    InProgress,
    PayloadMismatch,
    Record,
)

CLAIM_OUTLIVES_LEASE_S = 86_400
"""How long a claim's record stays after its lease: a TTL deletion never frees a live lease, and
a lapsed claim still knows its payload hash when the message comes back."""
NOTE_CHARS_MAX = 1_000


class Entry(NamedTuple):
    """A record as stores keep it: times as numbers, `completed_ms` 0 until it is done."""

    state: Literal["claimed", "done"]
    payload_hash: str
    token: str
    lease_until_ms: int
    completed_ms: int
    expires_s: int
    note: str = ""

    @property
    def attempts(self) -> int:
        """Which attempt a claim is, or how many failed before its release."""
        is_counted = self.state == "claimed" and self.note.startswith(_ATTEMPTS)
        return int(self.note.removeprefix(_ATTEMPTS)) if is_counted else 1


_ATTEMPTS = "attempts "
RELEASED_MS = 0
"""The end of a released claim's lease: anybody may take it, with another payload too."""
NOBODY = "nobody"
"""The token of a released claim."""


def attempts_note(attempts: int) -> str:
    """Where a claim keeps count. The first attempt needs no note."""
    return f"{_ATTEMPTS}{attempts}" if attempts > 1 else ""


def released_note(failed_attempts: int) -> str:
    """What a released claim leaves behind."""
    return f"{_ATTEMPTS}{failed_attempts}"


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return round(moment.timestamp() * 1000)


def from_ms(ms: int) -> datetime:
    """The moment so many milliseconds after 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


def claimed_entry(request: ClaimRequest, now: datetime, seen: Entry | None = None) -> Entry:
    """The record of a new claim, or of one that takes over what was seen."""
    lease_until_ms = lease_end_ms(request.lease_s, now)
    goes_on = (
        seen is not None
        and seen.state == "claimed"
        and seen.payload_hash == request.payload_hash
        and not is_expired(seen, now)
    )
    attempts = seen.attempts + 1 if seen is not None and goes_on else 1
    return Entry(
        "claimed",
        request.payload_hash,
        request.token,
        lease_until_ms,
        0,
        claim_end_s(lease_until_ms),
        attempts_note(attempts),
    )


def lease_end_ms(lease_s: float, now: datetime) -> int:
    """When a lease that starts now ends."""
    return to_ms(now) + round(lease_s * 1000)


def claim_end_s(lease_until_ms: int) -> int:
    """When the record of a claim with such a lease expires, in seconds for the TTL."""
    return lease_until_ms // 1000 + CLAIM_OUTLIVES_LEASE_S


def done_end_s(retain_s: float, now: datetime) -> int:
    """When the record of work completed now expires, in seconds for the TTL."""
    return (to_ms(now) + round(retain_s * 1000)) // 1000


def is_expired(entry: Entry, now: datetime) -> bool:
    """Whether the record counts no more, deleted or not (R45)."""
    return entry.expires_s * 1000 <= to_ms(now)


def judge(entry: Entry, request: ClaimRequest, now: datetime) -> ClaimAnswer | None:
    """What a claim that met this record is told. None: the record may be taken over."""
    if is_expired(entry, now) or _is_released(entry):
        return None
    if entry.payload_hash != request.payload_hash:
        return PayloadMismatch(entry.payload_hash)
    if entry.state == "done":
        return AlreadyDone(from_ms(entry.completed_ms), entry.note)
    if entry.lease_until_ms <= to_ms(now):
        return None
    if entry.token == request.token:
        # Our own claim: it went through and its answer was lost on the way.
        return Claimed(attempts=entry.attempts)
    return InProgress(from_ms(entry.lease_until_ms))


def _is_released(entry: Entry) -> bool:
    return entry.state == "claimed" and entry.lease_until_ms == RELEASED_MS


def describe(key: str, entry: Entry, now: datetime) -> Record | None:
    """The record for operators. Expired and released ones read as None."""
    if is_expired(entry, now) or _is_released(entry):
        return None
    is_done = entry.state == "done"
    return Record(
        key=key,
        state=entry.state,
        payload_hash=entry.payload_hash,
        token=entry.token,
        lease_until=None if is_done else from_ms(entry.lease_until_ms),
        completed_at=from_ms(entry.completed_ms) if is_done else None,
        expires_at=from_ms(entry.expires_s * 1000),
        note=entry.note,
    )


def refuse_repeats(keys: list[str]) -> None:
    """Two entries of one call on the same key have no order: the caller collapses them first."""
    if len(set(keys)) != len(keys):
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        raise ValueError(f"the same dedupe key stands twice in one call: {', '.join(repeated)}")
