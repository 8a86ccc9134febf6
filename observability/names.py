"""Core: the name and the help text of every counter. `Counters` holds the numbers, `Exposition` shows them."""

from typing import NamedTuple


class Counter(NamedTuple):
    """One counter: its name, to which Prometheus' name adds a prefix and `_total`, and its help text."""

    name: str
    help: str


EVENTS = (
    Counter("events_published", "client events accepted by the event bus"),
    Counter("events_refused", "client events answered with busy because the buffer was full"),
    Counter("events_lost", "client events that the event bus rejects because they are too large, each logged"),
)

GATEWAY = (
    Counter("connections_opened", "clients whose handshake was completed"),
    Counter("connections_closed", "clients whose connection has ended"),
    Counter("connections_refused", "clients that were refused while the node was draining, lapsed or full"),
    Counter("handshakes_refused", "connections ended at once because too many others were not answered yet"),
    Counter("unregistered_admitted", "clients admitted without a commit in the registry after 3 s"),
    Counter("reach_timeouts", "registrations that a router did not acknowledge within 250 ms"),
    Counter("pushes_received", "pushes received from routers"),
    Counter("frames_written", "frames written to clients' connections"),
    Counter("dropped_slow", "frames not written because the client was over its slow-consumer budget"),
    Counter("slow_closed", "clients closed because they did not read, or not fast enough"),
    Counter("expired", "frames not written because the push's ttl had passed"),
    Counter("old_epoch", "pushes refused because they were planned for another incarnation of this node"),
    Counter("not_mine", "pushes that found no live session here"),
    Counter("duplicates", "sessions not written to because the same push_id was written to them before"),
    Counter("dedup_evicted", "push_ids forgotten before their time because dedup's bytes were used up"),
    Counter("bus_messages", "messages of pushes read from the bus (broadcast mode)"),
    Counter("bus_bytes", "bytes of these messages"),
    Counter("bus_dropped", "messages from the bus that were malformed, or came while too many waited"),
    Counter("bus_missed", "pushes that were published and never read from the bus"),
    Counter("relayed", "polls and POSTs of Engine.IO clients that were relayed to the nodes that own them"),
    Counter("taken_over", "connections that were taken over from other nodes by an upgrade to a WebSocket"),
    Counter("pings_sent", "heartbeat pings written to clients"),
    Counter("heartbeat_closed", "clients closed because they did not answer a ping"),
    Counter("rate_closed", "clients closed because they sent too many messages or bytes"),
    Counter("bad_messages", "client messages that the protocol does not allow"),
    *EVENTS,
    Counter("incarnations_lost", "times this node was fenced and began a new incarnation"),
    Counter("fencing_queries", "times the lease may have been over and routers were queried"),
    Counter("spans_sent", "spans exported"),
    Counter(
        "spans_lost",
        "traces not begun, and spans dropped, because more came than were exported or the exporter failed for long",
    ),
)

ROUTER = (
    Counter("pushes", "pushes that were planned"),
    Counter("pushes_refused", "pushes that were refused before anything was sent"),
    Counter("nodes_contacted", "sends of pushes to gateways, healing and scatter included"),
    Counter("unreachable", "nodes that did not answer a push"),
    Counter("healed", "pushes whose stale route was repaired inside the call"),
    Counter("misses", "lookups that had to wait for the table to catch up"),
    Counter("registry_away", "waits for the table that failed because etcd did not answer"),
    Counter("bus_messages", "messages of pushes accepted by the bus (broadcast mode)"),
    Counter("bus_bytes", "bytes of these messages"),
    Counter("bus_away", "messages of pushes that the bus did not accept"),
    Counter("resyncs", "fresh snapshots of the route table"),
    Counter("sessions_lost", "disconnects published for sessions whose gateway was lost"),
    Counter("commands_done", "commands over Kafka that were executed"),
    Counter("commands_dead", "commands over Kafka that were written to the dead-letter topic"),
    Counter("spans_sent", "spans exported"),
    Counter(
        "spans_lost",
        "traces not begun, and spans dropped, because more came than were exported or the exporter failed for long",
    ),
)
