"""Every counter's name, once. A service holds the numbers in a `Counters`; `observability.metrics` shows them."""

from typing import NamedTuple


class Counter(NamedTuple):
    """One thing that is counted: the name it has in Prometheus, and what it means."""

    name: str
    help: str


GATEWAY = (
    Counter("connections_opened", "clients whose handshake was completed"),
    Counter("connections_closed", "clients that are gone"),
    Counter("connections_refused", "clients that were refused while draining, lapsed or full"),
    Counter("unregistered_admitted", "clients admitted before the registry had their session (3 s were over)"),
    Counter("reach_timeouts", "registrations that a router did not acknowledge within 250 ms"),
    Counter("pushes_received", "pushes that a router handed to this node"),
    Counter("frames_written", "frames that went to a client's connection"),
    Counter("dropped_slow", "frames not written because a client was over its budget"),
    Counter("expired", "frames not written because the push's ttl was over"),
    Counter("old_epoch", "pushes refused because they were meant for an earlier incarnation of this node"),
    Counter("not_mine", "pushes that found no live session here"),
    Counter("bus_messages", "messages of pushes that came off the bus (broadcast mode)"),
    Counter("bus_bytes", "bytes of these messages"),
    Counter("bus_dropped", "messages off the bus that were none of ours, or came while too many waited"),
    Counter("bus_missed", "pushes that were published and never came off the bus"),
    Counter("heartbeat_closed", "clients closed because they did not answer a ping"),
    Counter("bad_messages", "client messages that the protocol does not allow"),
    Counter("events_published", "client events that the event bus has taken"),
    Counter("events_refused", "client events answered with busy because the buffer was full"),
    Counter("events_lost", "client events that the event bus will never take (too large for it), logged one by one"),
    Counter("lives_lost", "times this node was fenced and began a new incarnation"),
    Counter("fencing_queries", "times the lease may have been over and a router was asked"),
    Counter("spans_sent", "spans that the trace collector has taken"),
    Counter("spans_lost", "spans thrown away because the trace collector did not answer for long"),
)

ROUTER = (
    Counter("pushes", "pushes that were planned"),
    Counter("pushes_refused", "pushes that were refused before anything was sent"),
    Counter("nodes_contacted", "messages to gateways for pushes, retries and scatter included"),
    Counter("unreachable", "nodes that did not answer a push"),
    Counter("healed", "pushes whose stale route was mended inside the call"),
    Counter("misses", "lookups that had to wait for the table to catch up"),
    Counter("registry_away", "lookups that could not be checked because etcd did not answer"),
    Counter("bus_messages", "messages of pushes that the bus has taken (broadcast mode)"),
    Counter("bus_bytes", "bytes of these messages"),
    Counter("bus_away", "messages of pushes that the bus did not take"),
    Counter("resyncs", "fresh snapshots of the route table"),
    Counter("commands_done", "commands from the bus that were carried out"),
    Counter("commands_dead", "commands from the bus that went to the dead-letter topic"),
    Counter("spans_sent", "spans that the trace collector has taken"),
    Counter("spans_lost", "spans thrown away because the trace collector did not answer for long"),
)
