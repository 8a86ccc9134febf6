"""Core: W3C's `traceparent` as text, and our own `X-Trace-ID` (W3C Trace Context level 2, §3.2; design §9).

Inside a service a traceparent is 55 characters of version 00, or "". A caller who gives X-Trace-ID alone names a trace
but no span in it: that is written with the span id of zeros, which W3C forbids on the wire. It never leaves like that:
a process that records spans puts its own there, and one that does not draws a random one (`observability.tracing`).
"""

import re

NO_SPAN = "0" * 16
_ODD = frozenset("13579bdf")

_match_version_00 = re.compile(r"00-(?!0{32})[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}").fullmatch
_match_later = re.compile(r"(?!00|ff)[0-9a-f]{2}(-(?!0{32})[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})(?:-.*)?").fullmatch
_match_trace_id = re.compile(r"(?!0{32})[0-9a-f]{32}").fullmatch


def checked(traceparent: str) -> str:
    """A traceparent as given, in version 00; "" for one that is malformed.

    That is as good as none (§3.2.2.3): it must not cost the caller its call. A later version's first fields are read as
    ours (§3.2.4).
    """
    if not traceparent or _match_version_00(traceparent):
        return traceparent
    later = _match_later(traceparent)
    return f"00{later[1]}" if later else ""


def from_headers(traceparent: str, trace_id: str) -> str:
    """The trace that a caller asks for: its traceparent, else its X-Trace-ID, which means sampled; else ""."""
    return checked(traceparent) or (f"00-{trace_id}-{NO_SPAN}-01" if _match_trace_id(trace_id) else "")


def sampled(traceparent: str) -> bool:
    """Whether somebody keeps this trace. Only the flag is looked at: it is asked for every push."""
    return len(traceparent) == 55 and traceparent[54] in _ODD


def trace_id_of(traceparent: str) -> str:
    """The 32 hex digits of the trace; "" for none."""
    return traceparent[3:35] if len(traceparent) == 55 else ""


def span_id_of(traceparent: str) -> str:
    """The 16 hex digits of the parent span; "" when the caller has named a trace only."""
    span_id = traceparent[36:52]
    return "" if span_id == NO_SPAN else span_id
