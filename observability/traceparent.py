"""Core: W3C's `traceparent` as text (W3C Trace Context level 2, §3.2), and Homing's `X-Trace-ID`
(docs/design.md, "Tracing").

Inside a service a traceparent is 55 characters of version 00, or "". X-Trace-ID names a trace but no span; inside a
service its traceparent has the span id of zeros, which W3C forbids on the wire. No such traceparent is sent: a process
that records spans sends its own span id, another one sends a random span id (`Tracer.propagated`).
"""

import re

NO_SPAN = "0" * 16
_ODD = frozenset("13579bdf")

_match_version_00 = re.compile(r"00-(?!0{32})[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}").fullmatch
_match_later = re.compile(r"(?!00|ff)[0-9a-f]{2}(-(?!0{32})[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})(?:-.*)?").fullmatch
_match_trace_id = re.compile(r"(?!0{32})[0-9a-f]{32}").fullmatch


def checked(traceparent: str) -> str:
    """The traceparent in version 00; "" when it is malformed, which W3C treats as absent (§3.2.2.3).

    Of a later version the fields of version 00 are used (§3.2.4).
    """
    if not traceparent or _match_version_00(traceparent):
        return traceparent
    later = _match_later(traceparent)
    return f"00{later[1]}" if later else ""


def from_headers(traceparent: str, trace_id: str) -> str:
    """The caller's trace: its traceparent, else its X-Trace-ID, which means sampled; else ""."""
    return checked(traceparent) or (f"00-{trace_id}-{NO_SPAN}-01" if _match_trace_id(trace_id) else "")


def sampled(traceparent: str) -> bool:
    """Whether the sampled flag is set. Checks nothing else, because it is called for every push."""
    return len(traceparent) == 55 and traceparent[54] in _ODD


def trace_id_of(traceparent: str) -> str:
    """The 32 hex digits of the trace; "" for none."""
    return traceparent[3:35] if len(traceparent) == 55 else ""


def span_id_of(traceparent: str) -> str:
    """The 16 hex digits of the parent span; "" when only a trace is named."""
    span_id = traceparent[36:52]
    return "" if span_id == NO_SPAN else span_id
