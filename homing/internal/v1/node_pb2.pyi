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

class RouterMessage(_message.Message):
    __slots__ = ("hello", "pushes", "memberships", "table_batch", "ping", "fencing", "sent_ns")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    PUSHES_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIPS_FIELD_NUMBER: _ClassVar[int]
    TABLE_BATCH_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    FENCING_FIELD_NUMBER: _ClassVar[int]
    SENT_NS_FIELD_NUMBER: _ClassVar[int]
    hello: RouterHello
    pushes: _containers.RepeatedCompositeFieldContainer[Push]
    memberships: _containers.RepeatedCompositeFieldContainer[Membership]
    table_batch: int
    ping: int
    fencing: _containers.RepeatedCompositeFieldContainer[Fencing]
    sent_ns: int
    def __init__(self, hello: _Optional[_Union[RouterHello, _Mapping]] = ..., pushes: _Optional[_Iterable[_Union[Push, _Mapping]]] = ..., memberships: _Optional[_Iterable[_Union[Membership, _Mapping]]] = ..., table_batch: _Optional[int] = ..., ping: _Optional[int] = ..., fencing: _Optional[_Iterable[_Union[Fencing, _Mapping]]] = ..., sent_ns: _Optional[int] = ...) -> None: ...

class RouterHello(_message.Message):
    __slots__ = ("router", "node", "epoch")
    ROUTER_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    router: str
    node: str
    epoch: int
    def __init__(self, router: _Optional[str] = ..., node: _Optional[str] = ..., epoch: _Optional[int] = ...) -> None: ...

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
    __slots__ = ("call", "epoch", "receivers", "event", "data", "content_type", "push_id", "ttl_ms", "ack_timeout_ms", "except_sessions", "traceparent", "max_deliveries", "received_ns")
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
    def __init__(self, call: _Optional[int] = ..., epoch: _Optional[int] = ..., receivers: _Optional[_Union[Receivers, _Mapping]] = ..., event: _Optional[str] = ..., data: _Optional[bytes] = ..., content_type: _Optional[str] = ..., push_id: _Optional[str] = ..., ttl_ms: _Optional[int] = ..., ack_timeout_ms: _Optional[int] = ..., except_sessions: _Optional[_Iterable[int]] = ..., traceparent: _Optional[str] = ..., max_deliveries: _Optional[int] = ..., received_ns: _Optional[int] = ...) -> None: ...

class Membership(_message.Message):
    __slots__ = ("call", "epoch", "receivers", "file", "leave")
    CALL_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    RECEIVERS_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    LEAVE_FIELD_NUMBER: _ClassVar[int]
    call: int
    epoch: int
    receivers: Receivers
    file: str
    leave: bool
    def __init__(self, call: _Optional[int] = ..., epoch: _Optional[int] = ..., receivers: _Optional[_Union[Receivers, _Mapping]] = ..., file: _Optional[str] = ..., leave: bool = ...) -> None: ...

class NodeMessage(_message.Message):
    __slots__ = ("hello", "pushes", "memberships", "pong", "unregistered", "fencing_asks")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    PUSHES_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIPS_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    UNREGISTERED_FIELD_NUMBER: _ClassVar[int]
    FENCING_ASKS_FIELD_NUMBER: _ClassVar[int]
    hello: NodeHello
    pushes: _containers.RepeatedCompositeFieldContainer[PushAnswer]
    memberships: _containers.RepeatedCompositeFieldContainer[MembershipAnswer]
    pong: int
    unregistered: Unregistered
    fencing_asks: _containers.RepeatedCompositeFieldContainer[FencingAsk]
    def __init__(self, hello: _Optional[_Union[NodeHello, _Mapping]] = ..., pushes: _Optional[_Iterable[_Union[PushAnswer, _Mapping]]] = ..., memberships: _Optional[_Iterable[_Union[MembershipAnswer, _Mapping]]] = ..., pong: _Optional[int] = ..., unregistered: _Optional[_Union[Unregistered, _Mapping]] = ..., fencing_asks: _Optional[_Iterable[_Union[FencingAsk, _Mapping]]] = ...) -> None: ...

class NodeHello(_message.Message):
    __slots__ = ("node", "epoch")
    NODE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    node: str
    epoch: int
    def __init__(self, node: _Optional[str] = ..., epoch: _Optional[int] = ...) -> None: ...

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

class MembershipAnswer(_message.Message):
    __slots__ = ("call", "verdict", "sessions")
    CALL_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    call: int
    verdict: Verdict
    sessions: int
    def __init__(self, call: _Optional[int] = ..., verdict: _Optional[_Union[Verdict, str]] = ..., sessions: _Optional[int] = ...) -> None: ...

class FencingAsk(_message.Message):
    __slots__ = ("ask",)
    ASK_FIELD_NUMBER: _ClassVar[int]
    ask: int
    def __init__(self, ask: _Optional[int] = ...) -> None: ...

class Fencing(_message.Message):
    __slots__ = ("ask", "state")
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
    ASK_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ask: int
    state: Fencing.State
    def __init__(self, ask: _Optional[int] = ..., state: _Optional[_Union[Fencing.State, str]] = ...) -> None: ...
