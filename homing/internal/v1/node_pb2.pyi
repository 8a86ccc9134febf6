from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    DONE: _ClassVar[Verdict]
    NOT_MINE: _ClassVar[Verdict]
    OLD_EPOCH: _ClassVar[Verdict]
VERDICT_UNSPECIFIED: Verdict
DONE: Verdict
NOT_MINE: Verdict
OLD_EPOCH: Verdict

class RelayRequest(_message.Message):
    __slots__ = ("connection", "poll", "body")
    CONNECTION_FIELD_NUMBER: _ClassVar[int]
    POLL_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    connection: str
    poll: bool
    body: bytes
    def __init__(self, connection: _Optional[str] = ..., poll: bool = ..., body: _Optional[bytes] = ...) -> None: ...

class RelayAnswer(_message.Message):
    __slots__ = ("payload", "status", "code", "message")
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    status: int
    code: int
    message: str
    def __init__(self, payload: _Optional[bytes] = ..., status: _Optional[int] = ..., code: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class TakeOverRequest(_message.Message):
    __slots__ = ("step", "connection", "outcomes")
    class Step(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STEP_UNSPECIFIED: _ClassVar[TakeOverRequest.Step]
        BEGIN: _ClassVar[TakeOverRequest.Step]
        PROBE: _ClassVar[TakeOverRequest.Step]
        TAKE: _ClassVar[TakeOverRequest.Step]
        REGISTERED: _ClassVar[TakeOverRequest.Step]
    STEP_UNSPECIFIED: TakeOverRequest.Step
    BEGIN: TakeOverRequest.Step
    PROBE: TakeOverRequest.Step
    TAKE: TakeOverRequest.Step
    REGISTERED: TakeOverRequest.Step
    STEP_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    step: TakeOverRequest.Step
    connection: str
    outcomes: _containers.RepeatedCompositeFieldContainer[ForwardedOutcome]
    def __init__(self, step: _Optional[_Union[TakeOverRequest.Step, str]] = ..., connection: _Optional[str] = ..., outcomes: _Optional[_Iterable[_Union[ForwardedOutcome, _Mapping]]] = ...) -> None: ...

class TakeOverAnswer(_message.Message):
    __slots__ = ("done", "taken", "forwarded")
    DONE_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    FORWARDED_FIELD_NUMBER: _ClassVar[int]
    done: TakeOverRequest.Step
    taken: TakenConnection
    forwarded: _containers.RepeatedCompositeFieldContainer[Forwarded]
    def __init__(self, done: _Optional[_Union[TakeOverRequest.Step, str]] = ..., taken: _Optional[_Union[TakenConnection, _Mapping]] = ..., forwarded: _Optional[_Iterable[_Union[Forwarded, _Mapping]]] = ...) -> None: ...

class Forwarded(_message.Message):
    __slots__ = ("number", "session", "push_id", "frame", "close_code", "close_reason", "dedup", "caller")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    PUSH_ID_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    CLOSE_CODE_FIELD_NUMBER: _ClassVar[int]
    CLOSE_REASON_FIELD_NUMBER: _ClassVar[int]
    DEDUP_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    number: int
    session: int
    push_id: str
    frame: bytes
    close_code: int
    close_reason: str
    dedup: bool
    caller: str
    def __init__(self, number: _Optional[int] = ..., session: _Optional[int] = ..., push_id: _Optional[str] = ..., frame: _Optional[bytes] = ..., close_code: _Optional[int] = ..., close_reason: _Optional[str] = ..., dedup: bool = ..., caller: _Optional[str] = ...) -> None: ...

class ForwardedOutcome(_message.Message):
    __slots__ = ("number", "outcome")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    number: int
    outcome: int
    def __init__(self, number: _Optional[int] = ..., outcome: _Optional[int] = ...) -> None: ...

class TakenConnection(_message.Message):
    __slots__ = ("unsent", "protocol", "msgpack", "address", "traceparent", "files", "identity", "sessions")
    UNSENT_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    MSGPACK_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    unsent: bytes
    protocol: str
    msgpack: bool
    address: str
    traceparent: str
    files: _containers.RepeatedScalarFieldContainer[str]
    identity: Identity
    sessions: _containers.RepeatedCompositeFieldContainer[TakenSession]
    def __init__(self, unsent: _Optional[bytes] = ..., protocol: _Optional[str] = ..., msgpack: bool = ..., address: _Optional[str] = ..., traceparent: _Optional[str] = ..., files: _Optional[_Iterable[str]] = ..., identity: _Optional[_Union[Identity, _Mapping]] = ..., sessions: _Optional[_Iterable[_Union[TakenSession, _Mapping]]] = ...) -> None: ...

class Identity(_message.Message):
    __slots__ = ("user", "files", "auth_type", "expires")
    USER_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    AUTH_TYPE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    user: str
    files: _containers.RepeatedScalarFieldContainer[str]
    auth_type: str
    expires: float
    def __init__(self, user: _Optional[str] = ..., files: _Optional[_Iterable[str]] = ..., auth_type: _Optional[str] = ..., expires: _Optional[float] = ...) -> None: ...

class TakenSession(_message.Message):
    __slots__ = ("session", "namespace", "identity", "connected_at_ms", "files", "backend_files", "seq", "traceparent", "written")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FILES_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_FIELD_NUMBER: _ClassVar[int]
    session: int
    namespace: str
    identity: Identity
    connected_at_ms: int
    files: _containers.RepeatedScalarFieldContainer[str]
    backend_files: _containers.RepeatedScalarFieldContainer[str]
    seq: int
    traceparent: str
    written: _containers.RepeatedCompositeFieldContainer[WrittenPush]
    def __init__(self, session: _Optional[int] = ..., namespace: _Optional[str] = ..., identity: _Optional[_Union[Identity, _Mapping]] = ..., connected_at_ms: _Optional[int] = ..., files: _Optional[_Iterable[str]] = ..., backend_files: _Optional[_Iterable[str]] = ..., seq: _Optional[int] = ..., traceparent: _Optional[str] = ..., written: _Optional[_Iterable[_Union[WrittenPush, _Mapping]]] = ...) -> None: ...

class WrittenPush(_message.Message):
    __slots__ = ("caller", "push_id", "age_ms")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    PUSH_ID_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    caller: str
    push_id: str
    age_ms: int
    def __init__(self, caller: _Optional[str] = ..., push_id: _Optional[str] = ..., age_ms: _Optional[int] = ...) -> None: ...

class AckForward(_message.Message):
    __slots__ = ("session", "ack", "data", "content_type")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    session: int
    ack: int
    data: bytes
    content_type: str
    def __init__(self, session: _Optional[int] = ..., ack: _Optional[int] = ..., data: _Optional[bytes] = ..., content_type: _Optional[str] = ...) -> None: ...

class AckTaken(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RouterMessage(_message.Message):
    __slots__ = ("hello", "pushes", "requests", "table_batch", "ping", "fencing", "sent_ns", "send_stats")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    PUSHES_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    TABLE_BATCH_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    FENCING_FIELD_NUMBER: _ClassVar[int]
    SENT_NS_FIELD_NUMBER: _ClassVar[int]
    SEND_STATS_FIELD_NUMBER: _ClassVar[int]
    hello: RouterHello
    pushes: _containers.RepeatedCompositeFieldContainer[Push]
    requests: _containers.RepeatedCompositeFieldContainer[NodeRequest]
    table_batch: int
    ping: int
    fencing: _containers.RepeatedCompositeFieldContainer[Fencing]
    sent_ns: int
    send_stats: bool
    def __init__(self, hello: _Optional[_Union[RouterHello, _Mapping]] = ..., pushes: _Optional[_Iterable[_Union[Push, _Mapping]]] = ..., requests: _Optional[_Iterable[_Union[NodeRequest, _Mapping]]] = ..., table_batch: _Optional[int] = ..., ping: _Optional[int] = ..., fencing: _Optional[_Iterable[_Union[Fencing, _Mapping]]] = ..., sent_ns: _Optional[int] = ..., send_stats: bool = ...) -> None: ...

class RouterHello(_message.Message):
    __slots__ = ("router", "node", "epoch", "broadcast")
    ROUTER_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    BROADCAST_FIELD_NUMBER: _ClassVar[int]
    router: str
    node: str
    epoch: int
    broadcast: bool
    def __init__(self, router: _Optional[str] = ..., node: _Optional[str] = ..., epoch: _Optional[int] = ..., broadcast: bool = ...) -> None: ...

class Receivers(_message.Message):
    __slots__ = ("sessions", "user", "file", "everyone", "namespace")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    EVERYONE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    sessions: SessionList
    user: str
    file: str
    everyone: bool
    namespace: str
    def __init__(self, sessions: _Optional[_Union[SessionList, _Mapping]] = ..., user: _Optional[str] = ..., file: _Optional[str] = ..., everyone: bool = ..., namespace: _Optional[str] = ...) -> None: ...

class SessionList(_message.Message):
    __slots__ = ("sids",)
    SIDS_FIELD_NUMBER: _ClassVar[int]
    sids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, sids: _Optional[_Iterable[int]] = ...) -> None: ...

class Push(_message.Message):
    __slots__ = ("call", "epoch", "receivers", "event", "data", "content_type", "push_id", "ttl_ms", "ack_timeout_ms", "except_sessions", "traceparent", "max_deliveries", "received_ns", "linger", "dedup", "caller")
    CALL_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    RECEIVERS_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    PUSH_ID_FIELD_NUMBER: _ClassVar[int]
    TTL_MS_FIELD_NUMBER: _ClassVar[int]
    ACK_TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    EXCEPT_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    MAX_DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_NS_FIELD_NUMBER: _ClassVar[int]
    LINGER_FIELD_NUMBER: _ClassVar[int]
    DEDUP_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    call: int
    epoch: int
    receivers: Receivers
    event: str
    data: bytes
    content_type: str
    push_id: str
    ttl_ms: int
    ack_timeout_ms: int
    except_sessions: _containers.RepeatedScalarFieldContainer[int]
    traceparent: str
    max_deliveries: int
    received_ns: int
    linger: bool
    dedup: bool
    caller: str
    def __init__(self, call: _Optional[int] = ..., epoch: _Optional[int] = ..., receivers: _Optional[_Union[Receivers, _Mapping]] = ..., event: _Optional[str] = ..., data: _Optional[bytes] = ..., content_type: _Optional[str] = ..., push_id: _Optional[str] = ..., ttl_ms: _Optional[int] = ..., ack_timeout_ms: _Optional[int] = ..., except_sessions: _Optional[_Iterable[int]] = ..., traceparent: _Optional[str] = ..., max_deliveries: _Optional[int] = ..., received_ns: _Optional[int] = ..., linger: bool = ..., dedup: bool = ..., caller: _Optional[str] = ...) -> None: ...

class Broadcast(_message.Message):
    __slots__ = ("router", "sent_ns", "pushes")
    ROUTER_FIELD_NUMBER: _ClassVar[int]
    SENT_NS_FIELD_NUMBER: _ClassVar[int]
    PUSHES_FIELD_NUMBER: _ClassVar[int]
    router: str
    sent_ns: int
    pushes: _containers.RepeatedCompositeFieldContainer[Push]
    def __init__(self, router: _Optional[str] = ..., sent_ns: _Optional[int] = ..., pushes: _Optional[_Iterable[_Union[Push, _Mapping]]] = ...) -> None: ...

class NodeRequest(_message.Message):
    __slots__ = ("call", "epoch", "membership", "disconnect", "reply", "presence")
    CALL_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    DISCONNECT_FIELD_NUMBER: _ClassVar[int]
    REPLY_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_FIELD_NUMBER: _ClassVar[int]
    call: int
    epoch: int
    membership: Membership
    disconnect: Disconnect
    reply: Reply
    presence: FilePresence
    def __init__(self, call: _Optional[int] = ..., epoch: _Optional[int] = ..., membership: _Optional[_Union[Membership, _Mapping]] = ..., disconnect: _Optional[_Union[Disconnect, _Mapping]] = ..., reply: _Optional[_Union[Reply, _Mapping]] = ..., presence: _Optional[_Union[FilePresence, _Mapping]] = ...) -> None: ...

class Membership(_message.Message):
    __slots__ = ("receivers", "file", "leave")
    RECEIVERS_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    LEAVE_FIELD_NUMBER: _ClassVar[int]
    receivers: Receivers
    file: str
    leave: bool
    def __init__(self, receivers: _Optional[_Union[Receivers, _Mapping]] = ..., file: _Optional[str] = ..., leave: bool = ...) -> None: ...

class Disconnect(_message.Message):
    __slots__ = ("receivers", "reason", "allow_reconnect")
    RECEIVERS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ALLOW_RECONNECT_FIELD_NUMBER: _ClassVar[int]
    receivers: Receivers
    reason: str
    allow_reconnect: bool
    def __init__(self, receivers: _Optional[_Union[Receivers, _Mapping]] = ..., reason: _Optional[str] = ..., allow_reconnect: bool = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("session", "ack", "data", "content_type", "error_code", "error_message", "error_field", "retry_ms")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_FIELD_NUMBER: _ClassVar[int]
    RETRY_MS_FIELD_NUMBER: _ClassVar[int]
    session: int
    ack: int
    data: bytes
    content_type: str
    error_code: str
    error_message: str
    error_field: str
    retry_ms: int
    def __init__(self, session: _Optional[int] = ..., ack: _Optional[int] = ..., data: _Optional[bytes] = ..., content_type: _Optional[str] = ..., error_code: _Optional[str] = ..., error_message: _Optional[str] = ..., error_field: _Optional[str] = ..., retry_ms: _Optional[int] = ...) -> None: ...

class FilePresence(_message.Message):
    __slots__ = ("file", "after", "limit")
    FILE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    file: str
    after: int
    limit: int
    def __init__(self, file: _Optional[str] = ..., after: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class NodeMessage(_message.Message):
    __slots__ = ("hello", "pushes", "responses", "pong", "unregistered", "fencing_queries", "stats", "handled")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    PUSHES_FIELD_NUMBER: _ClassVar[int]
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    UNREGISTERED_FIELD_NUMBER: _ClassVar[int]
    FENCING_QUERIES_FIELD_NUMBER: _ClassVar[int]
    STATS_FIELD_NUMBER: _ClassVar[int]
    HANDLED_FIELD_NUMBER: _ClassVar[int]
    hello: NodeHello
    pushes: _containers.RepeatedCompositeFieldContainer[PushAnswer]
    responses: _containers.RepeatedCompositeFieldContainer[NodeResponse]
    pong: int
    unregistered: Unregistered
    fencing_queries: _containers.RepeatedCompositeFieldContainer[FencingQuery]
    stats: Stats
    handled: Handled
    def __init__(self, hello: _Optional[_Union[NodeHello, _Mapping]] = ..., pushes: _Optional[_Iterable[_Union[PushAnswer, _Mapping]]] = ..., responses: _Optional[_Iterable[_Union[NodeResponse, _Mapping]]] = ..., pong: _Optional[int] = ..., unregistered: _Optional[_Union[Unregistered, _Mapping]] = ..., fencing_queries: _Optional[_Iterable[_Union[FencingQuery, _Mapping]]] = ..., stats: _Optional[_Union[Stats, _Mapping]] = ..., handled: _Optional[_Union[Handled, _Mapping]] = ...) -> None: ...

class NodeHello(_message.Message):
    __slots__ = ("node", "epoch", "broadcast")
    NODE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    BROADCAST_FIELD_NUMBER: _ClassVar[int]
    node: str
    epoch: int
    broadcast: bool
    def __init__(self, node: _Optional[str] = ..., epoch: _Optional[int] = ..., broadcast: bool = ...) -> None: ...

class Unregistered(_message.Message):
    __slots__ = ("any",)
    ANY_FIELD_NUMBER: _ClassVar[int]
    any: bool
    def __init__(self, any: bool = ...) -> None: ...

class PushAnswer(_message.Message):
    __slots__ = ("call", "verdict", "counts", "deliveries")
    CALL_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    call: int
    verdict: Verdict
    counts: _containers.RepeatedCompositeFieldContainer[OutcomeCount]
    deliveries: _containers.RepeatedCompositeFieldContainer[Delivered]
    def __init__(self, call: _Optional[int] = ..., verdict: _Optional[_Union[Verdict, str]] = ..., counts: _Optional[_Iterable[_Union[OutcomeCount, _Mapping]]] = ..., deliveries: _Optional[_Iterable[_Union[Delivered, _Mapping]]] = ...) -> None: ...

class Handled(_message.Message):
    __slots__ = ("begins", "spans", "taken", "answers")
    BEGINS_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    begins: bool
    spans: _containers.RepeatedCompositeFieldContainer[Span]
    taken: _containers.RepeatedScalarFieldContainer[int]
    answers: _containers.RepeatedCompositeFieldContainer[PushAnswer]
    def __init__(self, begins: bool = ..., spans: _Optional[_Iterable[_Union[Span, _Mapping]]] = ..., taken: _Optional[_Iterable[int]] = ..., answers: _Optional[_Iterable[_Union[PushAnswer, _Mapping]]] = ...) -> None: ...

class Span(_message.Message):
    __slots__ = ("first", "last")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    first: int
    last: int
    def __init__(self, first: _Optional[int] = ..., last: _Optional[int] = ...) -> None: ...

class OutcomeCount(_message.Message):
    __slots__ = ("outcome", "sessions")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    outcome: int
    sessions: int
    def __init__(self, outcome: _Optional[int] = ..., sessions: _Optional[int] = ...) -> None: ...

class Delivered(_message.Message):
    __slots__ = ("session", "user", "outcome", "latency_us", "ack_data", "ack_content_type")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    LATENCY_US_FIELD_NUMBER: _ClassVar[int]
    ACK_DATA_FIELD_NUMBER: _ClassVar[int]
    ACK_CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    session: int
    user: str
    outcome: int
    latency_us: int
    ack_data: bytes
    ack_content_type: str
    def __init__(self, session: _Optional[int] = ..., user: _Optional[str] = ..., outcome: _Optional[int] = ..., latency_us: _Optional[int] = ..., ack_data: _Optional[bytes] = ..., ack_content_type: _Optional[str] = ...) -> None: ...

class NodeResponse(_message.Message):
    __slots__ = ("call", "verdict", "sessions", "outcome", "present")
    CALL_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    call: int
    verdict: Verdict
    sessions: int
    outcome: int
    present: _containers.RepeatedCompositeFieldContainer[Present]
    def __init__(self, call: _Optional[int] = ..., verdict: _Optional[_Union[Verdict, str]] = ..., sessions: _Optional[int] = ..., outcome: _Optional[int] = ..., present: _Optional[_Iterable[_Union[Present, _Mapping]]] = ...) -> None: ...

class Present(_message.Message):
    __slots__ = ("session", "user", "namespace", "connected_at_ms")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    session: int
    user: str
    namespace: str
    connected_at_ms: int
    def __init__(self, session: _Optional[int] = ..., user: _Optional[str] = ..., namespace: _Optional[str] = ..., connected_at_ms: _Optional[int] = ...) -> None: ...

class Stats(_message.Message):
    __slots__ = ("sessions", "files", "counters")
    class CountersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    sessions: int
    files: int
    counters: _containers.ScalarMap[str, int]
    def __init__(self, sessions: _Optional[int] = ..., files: _Optional[int] = ..., counters: _Optional[_Mapping[str, int]] = ...) -> None: ...

class FencingQuery(_message.Message):
    __slots__ = ("query",)
    QUERY_FIELD_NUMBER: _ClassVar[int]
    query: int
    def __init__(self, query: _Optional[int] = ...) -> None: ...

class Fencing(_message.Message):
    __slots__ = ("query", "state")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Fencing.State]
        ALIVE: _ClassVar[Fencing.State]
        FENCED: _ClassVar[Fencing.State]
        AWAY: _ClassVar[Fencing.State]
    STATE_UNSPECIFIED: Fencing.State
    ALIVE: Fencing.State
    FENCED: Fencing.State
    AWAY: Fencing.State
    QUERY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    query: int
    state: Fencing.State
    def __init__(self, query: _Optional[int] = ..., state: _Optional[_Union[Fencing.State, str]] = ...) -> None: ...
