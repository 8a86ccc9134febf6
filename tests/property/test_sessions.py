"""A session walked through its stages, against a model that is the table itself; every push gets one outcome."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.outcome import DROPPED_SLOW, OFFLINE, WRITTEN
from gateway.sessions.connection import Connection
from gateway.sessions.session import Session
from gateway.sessions.stage import TRANSITIONS, IllegalMove, Move, Stage
from tests.support.wire import RecordingHandler, RecordingTransport, make_session, open_connection
from tests.unit.gateway.sessions.test_session import Push


class SessionStages(RuleBasedStateMachine):
    """Two sessions that may share a connection; connections come, stick, drain and go at any moment."""

    @initialize()
    def begin(self) -> None:
        self.sessions = [make_session(1), make_session(2)]
        self.stages = dict.fromkeys(self.sessions, Stage.REGISTERING)
        self.attached: dict[Session, Connection] = {}
        self.connections: list[Connection] = []
        self.pushes: list[tuple[Session, Push, int]] = []

    def draw(self, data: st.DataObject) -> Session:
        return data.draw(st.sampled_from(self.sessions))

    def apply(self, session: Session, move: Move, act: object) -> bool:
        """Do it, and hold the result against the table: an illegal move raises and changes nothing."""
        before = (session.stage, session.connection, session.held)
        legal = (self.stages[session], move) in TRANSITIONS
        try:
            act()  # type: ignore[operator]
        except IllegalMove:
            assert not legal
            assert (session.stage, session.connection, session.held) == before
            return False
        assert legal
        self.stages[session] = TRANSITIONS[self.stages[session], move]
        return True

    @rule()
    def open(self) -> None:
        if len(self.connections) < 3:
            self.connections.append(open_connection(RecordingHandler()))

    @rule(data=st.data())
    def attach(self, data: st.DataObject) -> None:
        session = self.draw(data)
        if self.connections:
            connection = data.draw(st.sampled_from(self.connections))
            if self.apply(session, Move.ATTACH, lambda: session.attach(connection)):
                self.attached[session] = connection

    @rule(data=st.data())
    def detach(self, data: st.DataObject) -> None:
        session = self.draw(data)
        if self.apply(session, Move.DETACH, session.detach):
            del self.attached[session]

    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        session = self.draw(data)
        if self.apply(session, Move.CLOSE, session.close):
            self.attached.pop(session, None)

    @rule(data=st.data(), size=st.sampled_from([1, 400, 900, 300_000]))
    def write(self, data: st.DataObject, size: int) -> None:
        session, push = self.draw(data), Push(b"x" * size)
        outcome = session.write(push)
        assert outcome in (0, WRITTEN, OFFLINE, DROPPED_SLOW)
        assert (outcome == OFFLINE) == (self.stages[session] is Stage.CLOSED)
        self.pushes.append((session, push, outcome))

    @rule(data=st.data(), stuck=st.booleans())
    def stick_or_drain(self, data: st.DataObject, stuck: bool) -> None:
        if self.connections:
            transport = transport_of(data.draw(st.sampled_from(self.connections)))
            if stuck:
                transport.stuck = True
            else:
                transport.drain()

    @invariant()
    def the_stage_is_the_tables(self) -> None:
        for session in getattr(self, "sessions", ()):
            assert session.stage is self.stages[session]
            assert session.connection is self.attached.get(session)
            assert (session.connection is not None) == (session.stage is Stage.CONNECTED)
            assert (session.held is not None) == (session.stage in (Stage.REGISTERING, Stage.DETACHED))

    @invariant()
    def no_push_has_two_outcomes(self) -> None:
        for _, push, outcome in getattr(self, "pushes", ()):
            assert len(push.outcomes) <= (1 if outcome == 0 else 0)

    def teardown(self) -> None:
        for session in getattr(self, "sessions", ()):
            if session.stage is not Stage.CLOSED:
                session.close()
        for connection in getattr(self, "connections", ()):
            transport_of(connection).drain()
        for _, push, outcome in getattr(self, "pushes", ()):
            assert len(push.outcomes) == (1 if outcome == 0 else 0)


def transport_of(connection: Connection) -> RecordingTransport:
    transport = connection._transport
    assert isinstance(transport, RecordingTransport)
    return transport


TestSessionStages = SessionStages.TestCase
