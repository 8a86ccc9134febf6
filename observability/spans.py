"""Core: the names of spans and of their attributes, and a finished span as a value.

Names follow OpenTelemetry's semantic conventions where these have one (messaging, rpc, server, error); Homing's own
begin with `homing.`. Users, files, event names, payloads and tokens are never recorded: they belong to the application,
vary without bound, and traces are read by more people than messages. Push ids and session ids are recorded; they are no
credentials.

    caller
     └ push                SERVER    in the router, from receipt to report   router/delivery/trace.py
        ├ plan             INTERNAL  the owners of the target; again when a stale route is healed
        └ hop              CLIENT    one node, from the router's queue to the answer
           └ deliver       SERVER    the writes of one node                  gateway/delivery/traces.py
              └ client ack CLIENT    one client, from write to ack; at most ACKS of a push
    connect                SERVER    a client's handshake                    gateway/events/traces.py
     └ event               PRODUCER  a client's event, until the bus has accepted it
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

# Kinds: OTLP's numbers (opentelemetry/proto/trace/v1/trace.proto, Span.SpanKind)
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

# Homing's own; a bool is present only when it is true
TARGET = "homing.target"  # the kind alone: session, user, file or everyone
NODES = "homing.nodes"  # the number of legs in the plan
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
OUTCOMES = "homing.outcome."  # and the outcome's name: the sessions with this outcome

Value = str | int | bool
Attributes = Mapping[str, Value]


class Context(NamedTuple):
    """The ids of a span that is recorded."""

    trace_id: str  # 32 hex digits
    span_id: str  # 16 hex digits
    parent_id: str  # "" = no parent

    @property
    def traceparent(self) -> str:
        """The traceparent for children of this span."""
        return f"00-{self.trace_id}-{self.span_id}-01"


class Span(NamedTuple):
    """A span that has ended. Times: ns, on the monotonic clock of the recording process."""

    context: Context
    name: str
    kind: int
    start_ns: int
    end_ns: int
    attributes: Attributes
    error: str = ""  # "" = no error
    links: tuple[str, ...] = ()  # traceparents
