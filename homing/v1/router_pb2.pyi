import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Target(_message.Message):
    __slots__ = ("session", "user", "file", "everyone", "namespace")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    EVERYONE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    session: int
    user: str
    file: str
    everyone: bool
    namespace: str
    def __init__(self, session: _Optional[int] = ..., user: _Optional[str] = ..., file: _Optional[str] = ..., everyone: bool = ..., namespace: _Optional[str] = ...) -> None: ...

class PushRequest(_message.Message):
    __slots__ = ("target", "event", "data", "content_type", "push_id", "ttl", "ack_timeout", "durable", "except_sessions", "max_deliveries", "traceparent")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    PUSH_ID_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    ACK_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    DURABLE_FIELD_NUMBER: _ClassVar[int]
    EXCEPT_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    MAX_DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    target: Target
    event: str
    data: bytes
    content_type: str
    push_id: str
    ttl: _duration_pb2.Duration
    ack_timeout: _duration_pb2.Duration
    durable: bool
    except_sessions: _containers.RepeatedScalarFieldContainer[int]
    max_deliveries: int
    traceparent: str
    def __init__(self, target: _Optional[_Union[Target, _Mapping]] = ..., event: _Optional[str] = ..., data: _Optional[bytes] = ..., content_type: _Optional[str] = ..., push_id: _Optional[str] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., ack_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., durable: bool = ..., except_sessions: _Optional[_Iterable[int]] = ..., max_deliveries: _Optional[int] = ..., traceparent: _Optional[str] = ...) -> None: ...

class Delivery(_message.Message):
    __slots__ = ("session", "user", "node", "outcome", "latency", "ack_data", "ack_content_type")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[Delivery.Outcome]
        ACKED: _ClassVar[Delivery.Outcome]
        WRITTEN: _ClassVar[Delivery.Outcome]
        STORED: _ClassVar[Delivery.Outcome]
        OFFLINE: _ClassVar[Delivery.Outcome]
        DROPPED_SLOW: _ClassVar[Delivery.Outcome]
        EXPIRED: _ClassVar[Delivery.Outcome]
        UNREACHABLE: _ClassVar[Delivery.Outcome]
        DUPLICATE: _ClassVar[Delivery.Outcome]
        QUEUED: _ClassVar[Delivery.Outcome]
    OUTCOME_UNSPECIFIED: Delivery.Outcome
    ACKED: Delivery.Outcome
    WRITTEN: Delivery.Outcome
    STORED: Delivery.Outcome
    OFFLINE: Delivery.Outcome
    DROPPED_SLOW: Delivery.Outcome
    EXPIRED: Delivery.Outcome
    UNREACHABLE: Delivery.Outcome
    DUPLICATE: Delivery.Outcome
    QUEUED: Delivery.Outcome
    SESSION_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    ACK_DATA_FIELD_NUMBER: _ClassVar[int]
    ACK_CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    session: int
    user: str
    node: str
    outcome: Delivery.Outcome
    latency: _duration_pb2.Duration
    ack_data: bytes
    ack_content_type: str
    def __init__(self, session: _Optional[int] = ..., user: _Optional[str] = ..., node: _Optional[str] = ..., outcome: _Optional[_Union[Delivery.Outcome, str]] = ..., latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., ack_data: _Optional[bytes] = ..., ack_content_type: _Optional[str] = ...) -> None: ...

class PushReport(_message.Message):
    __slots__ = ("push_id", "counts", "deliveries", "deliveries_truncated", "nodes_contacted", "owning_nodes", "amplification", "healed", "registry_away", "trace_id", "error")
    class CountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    PUSH_ID_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    NODES_CONTACTED_FIELD_NUMBER: _ClassVar[int]
    OWNING_NODES_FIELD_NUMBER: _ClassVar[int]
    AMPLIFICATION_FIELD_NUMBER: _ClassVar[int]
    HEALED_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_AWAY_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    push_id: str
    counts: _containers.ScalarMap[str, int]
    deliveries: _containers.RepeatedCompositeFieldContainer[Delivery]
    deliveries_truncated: bool
    nodes_contacted: int
    owning_nodes: int
    amplification: float
    healed: bool
    registry_away: bool
    trace_id: str
    error: Error
    def __init__(self, push_id: _Optional[str] = ..., counts: _Optional[_Mapping[str, int]] = ..., deliveries: _Optional[_Iterable[_Union[Delivery, _Mapping]]] = ..., deliveries_truncated: bool = ..., nodes_contacted: _Optional[int] = ..., owning_nodes: _Optional[int] = ..., amplification: _Optional[float] = ..., healed: bool = ..., registry_away: bool = ..., trace_id: _Optional[str] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "message", "field", "retry_after")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    field: str
    retry_after: _duration_pb2.Duration
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., field: _Optional[str] = ..., retry_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class PushResponse(_message.Message):
    __slots__ = ("report",)
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report: PushReport
    def __init__(self, report: _Optional[_Union[PushReport, _Mapping]] = ...) -> None: ...

class PushStreamRequest(_message.Message):
    __slots__ = ("pushes",)
    PUSHES_FIELD_NUMBER: _ClassVar[int]
    pushes: _containers.RepeatedCompositeFieldContainer[PushRequest]
    def __init__(self, pushes: _Optional[_Iterable[_Union[PushRequest, _Mapping]]] = ...) -> None: ...

class PushStreamResponse(_message.Message):
    __slots__ = ("reports",)
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    reports: _containers.RepeatedCompositeFieldContainer[PushReport]
    def __init__(self, reports: _Optional[_Iterable[_Union[PushReport, _Mapping]]] = ...) -> None: ...

class PresenceRequest(_message.Message):
    __slots__ = ("user", "file", "page_size", "page_token")
    USER_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    user: str
    file: str
    page_size: int
    page_token: str
    def __init__(self, user: _Optional[str] = ..., file: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class PresentSession(_message.Message):
    __slots__ = ("session", "user", "node", "namespace", "connected_at")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_AT_FIELD_NUMBER: _ClassVar[int]
    session: int
    user: str
    node: str
    namespace: str
    connected_at: _timestamp_pb2.Timestamp
    def __init__(self, session: _Optional[int] = ..., user: _Optional[str] = ..., node: _Optional[str] = ..., namespace: _Optional[str] = ..., connected_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PresenceResponse(_message.Message):
    __slots__ = ("sessions", "total", "next_page_token", "incomplete_nodes")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    INCOMPLETE_NODES_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[PresentSession]
    total: int
    next_page_token: str
    incomplete_nodes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, sessions: _Optional[_Iterable[_Union[PresentSession, _Mapping]]] = ..., total: _Optional[int] = ..., next_page_token: _Optional[str] = ..., incomplete_nodes: _Optional[_Iterable[str]] = ...) -> None: ...

class Route(_message.Message):
    __slots__ = ("node", "epoch", "sessions", "source")
    class Source(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SOURCE_UNSPECIFIED: _ClassVar[Route.Source]
        TABLE: _ClassVar[Route.Source]
        TABLE_AFTER_READ: _ClassVar[Route.Source]
        SCATTER: _ClassVar[Route.Source]
        BROADCAST: _ClassVar[Route.Source]
    SOURCE_UNSPECIFIED: Route.Source
    TABLE: Route.Source
    TABLE_AFTER_READ: Route.Source
    SCATTER: Route.Source
    BROADCAST: Route.Source
    NODE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    node: str
    epoch: int
    sessions: int
    source: Route.Source
    def __init__(self, node: _Optional[str] = ..., epoch: _Optional[int] = ..., sessions: _Optional[int] = ..., source: _Optional[_Union[Route.Source, str]] = ...) -> None: ...

class LocateRequest(_message.Message):
    __slots__ = ("target",)
    TARGET_FIELD_NUMBER: _ClassVar[int]
    target: Target
    def __init__(self, target: _Optional[_Union[Target, _Mapping]] = ...) -> None: ...

class LocateResponse(_message.Message):
    __slots__ = ("routes", "registry_away", "why")
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_AWAY_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    routes: _containers.RepeatedCompositeFieldContainer[Route]
    registry_away: bool
    why: str
    def __init__(self, routes: _Optional[_Iterable[_Union[Route, _Mapping]]] = ..., registry_away: bool = ..., why: _Optional[str] = ...) -> None: ...

class JoinRequest(_message.Message):
    __slots__ = ("target", "file")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    target: Target
    file: str
    def __init__(self, target: _Optional[_Union[Target, _Mapping]] = ..., file: _Optional[str] = ...) -> None: ...

class JoinResponse(_message.Message):
    __slots__ = ("sessions",)
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    sessions: int
    def __init__(self, sessions: _Optional[int] = ...) -> None: ...

class LeaveRequest(_message.Message):
    __slots__ = ("target", "file")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    target: Target
    file: str
    def __init__(self, target: _Optional[_Union[Target, _Mapping]] = ..., file: _Optional[str] = ...) -> None: ...

class LeaveResponse(_message.Message):
    __slots__ = ("sessions",)
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    sessions: int
    def __init__(self, sessions: _Optional[int] = ...) -> None: ...

class DisconnectRequest(_message.Message):
    __slots__ = ("target", "reason", "allow_reconnect")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ALLOW_RECONNECT_FIELD_NUMBER: _ClassVar[int]
    target: Target
    reason: str
    allow_reconnect: bool
    def __init__(self, target: _Optional[_Union[Target, _Mapping]] = ..., reason: _Optional[str] = ..., allow_reconnect: bool = ...) -> None: ...

class DisconnectResponse(_message.Message):
    __slots__ = ("sessions",)
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    sessions: int
    def __init__(self, sessions: _Optional[int] = ...) -> None: ...

class ReplyRequest(_message.Message):
    __slots__ = ("session", "ack", "data", "content_type", "error")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    session: int
    ack: int
    data: bytes
    content_type: str
    error: Error
    def __init__(self, session: _Optional[int] = ..., ack: _Optional[int] = ..., data: _Optional[bytes] = ..., content_type: _Optional[str] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class ReplyResponse(_message.Message):
    __slots__ = ("outcome",)
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    outcome: Delivery.Outcome
    def __init__(self, outcome: _Optional[_Union[Delivery.Outcome, str]] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("user", "nodes")
    USER_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    user: str
    nodes: bool
    def __init__(self, user: _Optional[str] = ..., nodes: bool = ...) -> None: ...

class NodeState(_message.Message):
    __slots__ = ("node", "epoch", "draining", "sessions", "files", "counters")
    class CountersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NODE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    node: str
    epoch: int
    draining: bool
    sessions: int
    files: int
    counters: _containers.ScalarMap[str, int]
    def __init__(self, node: _Optional[str] = ..., epoch: _Optional[int] = ..., draining: bool = ..., sessions: _Optional[int] = ..., files: _Optional[int] = ..., counters: _Optional[_Mapping[str, int]] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("came", "left", "node_up", "node_down", "synced")
    CAME_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    NODE_UP_FIELD_NUMBER: _ClassVar[int]
    NODE_DOWN_FIELD_NUMBER: _ClassVar[int]
    SYNCED_FIELD_NUMBER: _ClassVar[int]
    came: PresentSession
    left: int
    node_up: NodeState
    node_down: str
    synced: bool
    def __init__(self, came: _Optional[_Union[PresentSession, _Mapping]] = ..., left: _Optional[int] = ..., node_up: _Optional[_Union[NodeState, _Mapping]] = ..., node_down: _Optional[str] = ..., synced: bool = ...) -> None: ...
