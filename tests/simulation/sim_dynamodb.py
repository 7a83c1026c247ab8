"""A simulated DynamoDB API under the project's own dedupe store.

It understands the few PartiQL statements that the store writes, and answers statement by
statement as AWS does: `DuplicateItem`, `ConditionalCheckFailed`, a throttled statement beside one
that went through. Expired items stay readable until TTL comes round, late. What was written it
reports to the judge.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from billfleet_workers.runtime.ports.dedupe import Completion, Held
from simulation.network import Network
from simulation.seeded_loop import Process
from simulation.sim_queue import START

if TYPE_CHECKING:
    from simulation.judge import Judge

Item = dict[str, Mapping[str, Any]]
DUPLICATE = {"Error": {"Code": "DuplicateItem", "Message": "Duplicate primary key exists"}}
UNMET = {"Error": {"Code": "ConditionalCheckFailed", "Message": "The condition failed"}}
BUSY = {"Error": {"Code": "ThrottlingError", "Message": "This statement was throttled"}}
_NAMES = re.compile(r"'(\w+)': \?")
_SETS = re.compile(r'SET "(\w+)"=\?')
_CONDITIONS = re.compile(r'"(\w+)"=\?')


@dataclass(slots=True)
class DynamoTable:
    """The items of the dedupe table."""

    judge: "Judge"
    ttl_late_s: float
    items: dict[str, Item] = field(default_factory=dict)

    def find(self, key: str) -> Item | None:
        """The item, unless TTL has deleted it."""
        item = self.items.get(key)
        if item is not None:
            expires_s = int(item["expires_at"]["N"]) - START.timestamp()
            if expires_s + self.ttl_late_s <= self.judge.time_s():
                del self.items[key]
                return None
        return item

    def execute(self, process: Process, text: str, values: Sequence[Any]) -> Mapping[str, Any]:
        """One statement."""
        if text.startswith("INSERT"):
            return self._insert(process, dict(zip(_NAMES.findall(text), values, strict=True)))
        head, _, tail = text.partition(" WHERE ")
        sets = _SETS.findall(head)
        wanted = dict(zip(_CONDITIONS.findall(tail), values[len(sets) :], strict=True))
        item = self.find(wanted["pk"]["S"])
        is_met = item is not None and all(item[name] == wanted[name] for name in wanted)
        if text.startswith("DELETE"):
            return self._delete(process, item if is_met else None, wanted)
        changes = dict(zip(sets, values, strict=False))
        if item is None or not is_met:
            self._tell_unmet(process, wanted, changes)
            return UNMET
        item.update(changes)
        self._tell(process, item, changes, wanted["token"]["S"])
        return {"TableName": "dedupe"}

    def _insert(self, process: Process, item: Item) -> Mapping[str, Any]:
        key = item["pk"]["S"]
        if self.find(key) is not None:
            return DUPLICATE
        self.items[key] = item
        self._grant(process, item)
        return {"TableName": "dedupe"}

    def _delete(
        self, process: Process, item: Item | None, wanted: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        held = Held(wanted["pk"]["S"], wanted["token"]["S"])
        self.judge.released(process, held, item is not None)
        if item is None:
            return UNMET if wanted["pk"]["S"] in self.items else {"TableName": "dedupe"}
        del self.items[held.key]
        return {"TableName": "dedupe", "Item": item}

    def _tell(
        self, process: Process, item: Item, changes: Mapping[str, Any], token_before: str
    ) -> None:
        key, token = item["pk"]["S"], item["token"]["S"]
        if "payload_hash" in changes:
            self._grant(process, item)
        elif "completed_at" in changes:
            until_s = int(item["expires_at"]["N"]) - START.timestamp()
            completion = Completion(key, token, 0.0, "")
            self.judge.completed(process, completion, is_recorded=True, until_s=until_s)
        elif "note" in changes:
            self.judge.released(process, Held(key, token_before), is_released=True)
        else:
            self.judge.extended(process, Held(key, token), True, _lease_until_s(item))  # noqa: FBT003

    def _tell_unmet(
        self, process: Process, wanted: Mapping[str, Any], changes: Mapping[str, Any]
    ) -> None:
        names = sorted(changes)
        self.judge.story.tell(process.name, "write refused", f"{wanted['pk']['S']}: {names}")

    def _grant(self, process: Process, item: Item) -> None:
        key, token = item["pk"]["S"], item["token"]["S"]
        self.judge.story.tell(process.name, "claims", f"{key}: written")
        self.judge.granted(process, key, token, _lease_until_s(item))


def _lease_until_s(item: Item) -> float:
    return int(item["lease_until"]["N"]) / 1000 - START.timestamp()


class DynamoClient:
    """What the store asks of its SDK client, for one process."""

    def __init__(self, table: DynamoTable, process: Process, network: Network) -> None:
        self._table = table
        self._process = process
        self._network = network

    async def batch_execute_statement(
        self,
        *,
        Statements: Sequence[Mapping[str, Any]],  # noqa: N803 - the SDK's spelling
    ) -> Mapping[str, Any]:
        table, process = self._table, self._process
        verb = _verb_of(Statements[0]["Statement"])
        table.judge.calling(process, verb)
        for statement in Statements:
            if verb == "claim":
                table.judge.books[process].claimed_keys.add(_key_of(statement))

        def effect() -> Mapping[str, Any]:
            return {"Responses": [self._execute(one, verb) for one in Statements]}

        return await self._network.call("dedupe", verb, effect)

    def _execute(self, one: Mapping[str, Any], verb: str) -> Mapping[str, Any]:
        if self._network.fault("dedupe", verb, "partial"):
            self._process.disturbed_at_s = self._table.judge.time_s()
            return BUSY
        return self._table.execute(self._process, one["Statement"], one["Parameters"])

    async def batch_get_item(
        self,
        *,
        RequestItems: Mapping[str, Mapping[str, Any]],  # noqa: N803 - the SDK's spelling
    ) -> Mapping[str, Any]:
        ((name, asked),) = RequestItems.items()
        self._table.judge.calling(self._process, "claim")

        def effect() -> Mapping[str, Any]:
            found = [self._table.find(one["pk"]["S"]) for one in asked["Keys"]]
            # What was read is a copy: the item may change before the answer is there.
            return {"Responses": {name: [dict(item) for item in found if item is not None]}}

        return await self._network.call("dedupe", "claim", effect)


def _verb_of(text: str) -> str:
    if text.startswith("INSERT") or '"payload_hash"=?' in text:
        return "claim"
    if text.startswith("DELETE") or '"lease_until"=? SET "note"=?' in text:
        return "release"
    return "complete" if '"completed_at"=?' in text else "extend"


def _key_of(statement: Mapping[str, Any]) -> str:
    text, values = statement["Statement"], statement["Parameters"]
    if text.startswith("INSERT"):
        return str(values[_NAMES.findall(text).index("pk")]["S"])
    return str(values[len(_SETS.findall(text.partition(" WHERE ")[0]))]["S"])
