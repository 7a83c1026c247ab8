"""Dead-letter queues: all of them, and one with its groups, filters, and a plan to bring it home.

What is shown comes from the latest look. Looking and planning receive messages and hand them back,
so they are asked for by a form, and never by following a link.
"""

from collections.abc import Mapping
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billfleet_ops.console.acting import Asked
from billfleet_ops.console.looks import FIRST_MAX, KEPT_MAX
from billfleet_ops.console.parts import Console, acting_form, console_of, form_of, go, page, problem
from billfleet_ops.errors import OpsError, UsageWrong
from billfleet_ops.replay.filters import Filter, parse_conditions, parse_duration
from billfleet_workers.runtime.ports.dead_letters import QueueFacts

TERMS = ("type", "tenant", "fingerprint", "older_than", "younger_than", "where", "containing")
SHOWN_MAX = 200
LIMITS = {"first": FIRST_MAX, "all": 1_000_000}


def routes() -> list[Route]:
    """The pages here."""
    return [
        Route("/dead-letters", listed),
        Route("/dead-letters/look", look_everywhere, methods=["POST"]),
        Route("/dead-letters/{queue}", one),
        Route("/dead-letters/{queue}/part", part),
        Route("/dead-letters/{queue}/look", look, methods=["POST"]),
        Route("/dead-letters/{queue}/plan", plan, methods=["POST"]),
        Route("/dead-letters/{queue}/replay", replay, methods=["POST"]),
    ]


def terms_of(given: Mapping[str, str]) -> dict[str, str]:
    """The filter's terms that are given."""
    return {name: given[name].strip() for name in TERMS if given.get(name, "").strip()}


def filter_of(terms: Mapping[str, str]) -> Filter:
    """The same filter as the command's. Raises UsageWrong, which says what is wrong."""
    older, younger = terms.get("older_than"), terms.get("younger_than")
    return Filter(
        type=terms.get("type"),
        tenant=terms.get("tenant"),
        fingerprint=terms.get("fingerprint"),
        older_than=parse_duration(older, "first seen before") if older else None,
        younger_than=parse_duration(younger, "first seen after") if younger else None,
        conditions=parse_conditions([terms["where"]]) if "where" in terms else (),
        containing=terms.get("containing"),
    )


def facts_of(console: Console, name: str) -> QueueFacts:
    """The dead-letter queue as it was seen last. Raises OpsError where there is none."""
    seen = console.picture.by_dlq(name)
    if seen is None or seen.dead is None:
        raise OpsError(
            f"There is no dead-letter queue {name} here",
            where=f"stack {console.picture.stack}",
            remedy="Any other queue can be looked into with `replay-dlq list --queue`.",
        )
    return seen.dead


async def listed(request: Request) -> Response:
    """All queues, and what matches in those that were looked into."""
    console, terms = console_of(request), terms_of(request.query_params)
    objection, found = "", []
    try:
        meant = filter_of(terms)
    except UsageWrong as error:
        objection = f"{error.what}. {error.remedy}"
    else:
        if terms:
            found = [
                (name, reading)
                for name, look in console.looks.latest.items()
                for reading in look.matching(meant, console.now())
            ]
    return page(
        request,
        "dead_letters.html",
        looks=console.looks.latest,
        terms=terms,
        found=found[:SHOWN_MAX],
        found_count=len(found),
        objection=objection,
    )


async def look_everywhere(request: Request) -> Response:
    """Look into every queue that holds something, then show what matches."""
    console, form = console_of(request), await form_of(request)
    begun = []
    for seen in console.picture.queues.values():
        if seen.dead is not None and seen.dead_count:
            console.looks.begin(seen.dead)
            begun.append(seen.dead.name)
    for name in begun:
        await console.looks.ended(name)
    back = form.get("back", "")
    if back.startswith("/") and not back.startswith("//"):
        return go(back)
    return go(f"/dead-letters?{urlencode(terms_of(form))}")


async def one(request: Request) -> Response:
    """One queue."""
    return _shown(request, "dead_letter_queue.html")


async def part(request: Request) -> Response:
    """Only what changes while a look goes on."""
    return _shown(request, "parts/dead_letter_queue.html")


def _shown(request: Request, template: str) -> Response:
    console, name = console_of(request), request.path_params["queue"]
    facts = facts_of(console, name)
    look, terms = console.looks.latest.get(name), terms_of(request.query_params)
    objection, found = "", []
    try:
        meant = filter_of(terms)
    except UsageWrong as error:
        objection = f"{error.what}. {error.remedy}"
    else:
        found = look.matching(meant, console.now()) if look else []
    groups = sorted(look.peek.groups.values(), key=lambda group: -group.count) if look else []
    return page(
        request,
        template,
        facts=facts,
        look=look,
        groups=groups,
        terms=terms,
        query=urlencode(terms),
        found=found[:SHOWN_MAX],
        found_count=len(found),
        objection=objection,
        kept_max=KEPT_MAX,
        seen=console.picture.by_dlq(name),
    )


async def look(request: Request) -> Response:
    """Begin a look; the page says how far it is."""
    console, form = console_of(request), await form_of(request)
    name = request.path_params["queue"]
    facts = await console.replay.letters.describe(facts_of(console, name).url)
    if facts is None:
        return problem(request, 404, f"There is no queue {name} any more.")
    console.looks.forget(name)
    console.looks.begin(facts, LIMITS.get(form.get("limit", "first"), FIRST_MAX))
    return go(f"/dead-letters/{name}?{urlencode(terms_of(form))}")


async def plan(request: Request) -> Response:
    """Plan for all that the filter means; nothing is changed."""
    console, form = console_of(request), await form_of(request)
    return go(f"/actions/{console.acting.plan(_asked(console, request, form)).job_id}")


async def replay(request: Request) -> Response:
    """Bring all home that the filter means."""
    operator, form = await acting_form(request)
    console = console_of(request)
    job = await console.acting.replay(operator, _asked(console, request, form))
    return go(f"/actions/{job.job_id}")


def _asked(console: Console, request: Request, form: Mapping[str, str]) -> Asked:
    terms = terms_of(form)
    return Asked(
        queue=facts_of(console, request.path_params["queue"]),
        filter=filter_of(terms),
        terms=terms,
        rate=_number(form, "rate"),
        canary=int(number) if (number := _number(form, "canary")) else None,
    )


def _number(form: Mapping[str, str], name: str) -> float | None:
    said = form.get(name, "").strip()
    if not said:
        return None
    try:
        number = float(said)
    except ValueError:
        number = 0.0
    if not 0.01 <= number <= 1_000_000:
        raise UsageWrong(f"Not a number above nothing: {said}", where=name, remedy="Correct it.")
    return number
