"""The caller's trace context, when OpenTelemetry is there; nothing otherwise.

Called by `prepare` for messages whose caller names no traceparent. opentelemetry-api is not a
dependency: a service that traces has imported it already, and one that has not has no span.
"""

from __future__ import annotations

import sys


def current_traceparent() -> str | None:
    """W3C traceparent of the current span; None without OpenTelemetry or outside of a span."""
    # Looked up and not imported: to look for what is not installed, for each message, is slow.
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
