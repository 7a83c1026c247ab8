"""What a person reads of a page, for tests of the console."""

import html
import re

import httpx


def words(answer: httpx.Response) -> str:
    """The text without its tags, on one line."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", answer.text)))
