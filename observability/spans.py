"""Core: every span's and attribute's name, once, and a finished span as a value.

Names follow OpenTelemetry's semantic conventions where they have one (messaging, rpc, server, error); ours begin with
`homing.`. Left out on purpose: users, files, event names, payloads and tokens. They are the application's, of unbounded
variety, and traces are read by more people than messages are. What is there to find a push again: push id and session
ids, which are no credentials.

    caller
     └ push                SERVER    a router has the push          router/delivery/trace.py
        ├ plan             INTERNAL  who owns the target; again when a stale route is mended
        └ hop              CLIENT    one node, from queue to answer
           └ deliver       SERVER    the node writes it             gateway/delivery/traces.py
              └ client ack CLIENT    a client, from write to ack; at most ACKS of a push
    connect                SERVER    a client's handshake           gateway/service.py
     └ event               PRODUCER  a client's event, until the bus has it
"""

from collections.abc import Mapping
from typing import NamedTuple

PUSH = "push"
PLAN = "plan"
HOP = "hop"
DELIVER = "deliver"
CLIENT_ACK = "client ack"
CONNECT = "connect"
EVENT = "event"
BATCH = "push batch"  # one PushStream message that carries more than one push, linked to their callers' spans

ACKS = 20  # `client ack` spans of one push on one node; the counts are complete
LINKS = 32  # of one batch

# OTLP's numbers (opentelemetry/proto/trace/v1/trace.proto, Span.SpanKind)
INTERNAL = 1
SERVER = 2
CLIENT = 3
PRODUCER = 4

# Semantic conventions
ERROR_TYPE = "error.type"
MESSAGE_ID = "messaging.message.id"  # the push id
BODY_SIZE = "messaging.message.body.size"  # bytes
BATCH_SIZE = "messaging.batch.message_count"
OPERATION = "messaging.operation.type"  # "send"
SYSTEM = "messaging.system"  # the event bus
DESTINATION = "messaging.destination.name"  # its stream or topic
RPC_SYSTEM = "rpc.system.name"  # "grpc"
RPC_METHOD = "rpc.method"

# Our own; a bool stands there only when it is true
TARGET = "homing.target"  # session, user, file or everyone: the kind, never whom
NODES = "homing.nodes"  # how many the plan goes to
CONTACTED = "homing.nodes_contacted"
OWNING = "homing.owning_nodes"
HEALED = "homing.healed"
REGISTRY_AWAY = "homing.registry_away"
CAUGHT_UP = "homing.table_caught_up"  # the plan waited for the table
SCATTER = "homing.scatter"
NODE = "homing.node"
EPOCH = "homing.epoch"
ROUTER = "homing.router"
SESSION = "homing.session"
SESSIONS = "homing.sessions"  # receivers on this node
VERDICT = "homing.verdict"  # a node's, when it is not DONE
FIRST_WRITE = "homing.first_write_us"  # from the span's start
LAST_WRITE = "homing.last_write_us"
OUTCOMES = "homing.outcome."  # and the outcome's name: sessions that ended so

Value = str | int | bool
Attributes = Mapping[str, Value]


class Context(NamedTuple):
    """Where a span that is recorded stands: its trace, itself, its parent ("" = none)."""

    trace_id: str  # 32 hex digits
    span_id: str  # 16 hex digits
    parent_id: str

    @property
    def traceparent(self) -> str:
        """What goes to whoever continues below this span."""
        return f"00-{self.trace_id}-{self.span_id}-01"


class Span(NamedTuple):
    """A span whose outcome is known. Times are the recording process' monotonic clock, in ns."""

    context: Context
    name: str
    kind: int
    start_ns: int
    end_ns: int
    attributes: Attributes
    error: str = ""  # "" = no error
    links: tuple[str, ...] = ()  # traceparents
