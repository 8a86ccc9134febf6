"""The invariants of docs/promises.md as functions over a history. One checker, for the simulation and real processes.

Each function yields the violations of one invariant, in words. I1 and I3 are for durable pushes, which are planned.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.simulation.history import BackendChange, Connected, Fault, History, Membership, Receipt, Restored, Sent

NOT_RECEIVED = frozenset({"OFFLINE", "EXPIRED", "DROPPED_SLOW"})
RECEIVED = frozenset({"WRITTEN", "ACKED"})
ANSWER_VALID = 0.5  # seconds that a router's answer lets a lapsed node continue
STORE_AWAY_FOR = 5.0  # seconds after a fault of the store in which a router may still answer that it is away
HEALING_WAIT = 0.05  # seconds that a push waits for those before it, which may be healed (docs/design.md, "The router")
EPSILON = 0.002  # seconds; ttls are counted in milliseconds


class Violation(NamedTuple):
    """One invariant that did not hold. `t`: when that was to be seen."""

    invariant: str
    text: str
    t: float


def check(history: History) -> list[Violation]:
    """Every violation."""
    known = _Known(history)
    found: list[Violation] = []
    for invariant in INVARIANTS:
        found += invariant(known)
    return sorted(found, key=lambda one: one.t)


class _Known:
    """A history with the lookups that the invariants share."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.attempts = Counter(sent.push_id for sent in history.sent)
        self.sent: dict[str, Sent] = {sent.push_id: sent for sent in reversed(history.sent)}  # the first attempts
        self.invoked: dict[str, float] = {}  # when the first attempt was received
        for sent in history.sent:
            self.invoked[sent.push_id] = min(sent.t_invoke, self.invoked.get(sent.push_id, sent.t_invoke))
        self.number = {sent.push_id: number for number, sent in enumerate(history.sent)}
        self.connected = {one.session: one for one in history.connected}
        self.receipts: dict[tuple[str, int], list[Receipt]] = defaultdict(list)
        self.by_push: dict[str, list[Receipt]] = defaultdict(list)
        for receipt in history.receipts:
            self.receipts[receipt.push_id, receipt.session].append(receipt)
            self.by_push[receipt.push_id].append(receipt)
        self.memberships: dict[int, list[Membership]] = defaultdict(list)
        for membership in history.memberships:
            self.memberships[membership.session].append(membership)
        self.changes: dict[tuple[str, str], list[BackendChange]] = defaultdict(list)
        for change in history.backend_changes:
            self.changes[change.user, change.file].append(change)
        self.key_gone: dict[tuple[str, int], float] = {}
        self.ended: dict[tuple[str, int], list[tuple[str, float]]] = defaultdict(list)
        for end in history.ends:
            self.ended[end.node, end.epoch].append((end.known_to, end.t))
            if end.known_to == "store":
                self.key_gone[end.node, end.epoch] = end.t
        revoked = {(fault.subject, fault.t) for fault in history.faults if fault.fault == "lease revoked"}
        self.revoked = {owner for owner, t in self.key_gone.items() if (owner[0], t) in revoked}

    def restored_before(self, node: str, since: float, until: float) -> Restored | None:
        """The last time between the two at which the node had registered kept sessions anew."""
        found = [one for one in self.history.restored if one.node == node and since < one.t < until]
        return found[-1] if found else None


def _t(receipt: Receipt) -> float:
    """When the frame was written, as far as known."""
    return receipt.t_written if receipt.t_written is not None else (receipt.t or 0.0)


# I2 and order ---------------------------------------------------------------------------------------------------------


def _duplicates(known: _Known) -> Iterator[Violation]:
    """I2: no plain push twice per recipient and owner, also not by a repeat of its caller."""
    for (push_id, session), receipts in known.receipts.items():
        if len(receipts) > 1:
            epochs = [receipt.epoch for receipt in receipts]
            text = f"{push_id} was written {len(receipts)} times to session {session}, by epochs {epochs}"
            yield Violation("I2", text, _t(receipts[-1]))


def _order(known: _Known) -> Iterator[Violation]:
    """Promise 1: what one stream sends to one target is written in that order, healed or not."""
    yield from (violation for violation, waited in _overtaken(known) if not waited)


def _order_after_waiting(known: _Known) -> Iterator[Violation]:
    """The same for a push that is healed late: those behind it wait for it as long as HEALING_WAIT, and no longer."""
    yield from (violation for violation, waited in _overtaken(known) if waited)


def _overtaken(known: _Known) -> Iterator[tuple[Violation, bool]]:
    """True: the later push was written after the time for which others wait for an earlier one."""
    newest: dict[tuple[int, str, object], tuple[int, str, float]] = {}
    for receipt in sorted(known.history.receipts, key=_t):
        sent = known.sent.get(receipt.push_id)
        again = receipt is not known.receipts[receipt.push_id, receipt.session][0]  # I2's affair
        if sent is None or again or known.attempts[receipt.push_id] > 1:
            continue
        number = known.number[receipt.push_id]
        key = receipt.session, sent.stream, sent.target
        before = newest.get(key)
        if before is not None and before[0] > number:
            waited = before[2] - sent.t_invoke > HEALING_WAIT
            text = (
                f"session {receipt.session}: {receipt.push_id} came after {before[1]}, {sent.stream} to {sent.target}"
            )
            yield Violation("order", text, _t(receipt)), waited
        else:
            newest[key] = number, receipt.push_id, _t(receipt)


def _receipts_in_written_order(known: _Known) -> Iterator[Violation]:
    """What a connection was written, it receives in that order."""
    newest: dict[int, float] = {}
    for receipt in known.history.receipts:
        if receipt.t is not None:
            if receipt.t < newest.get(receipt.conn, 0.0):
                yield Violation("order", f"{receipt.push_id} overtook a frame on connection {receipt.conn}", receipt.t)
            newest[receipt.conn] = receipt.t


# Outcomes -------------------------------------------------------------------------------------------------------------


def _outcomes(known: _Known) -> Iterator[Violation]:
    """WRITTEN and ACKED are never wrong; who is OFFLINE, EXPIRED or DROPPED_SLOW has not received the push."""
    for sent in known.history.sent:
        for session, _node, outcome in sent.outcomes:
            if outcome == "DUPLICATE" and not known.receipts.get((sent.push_id, session)):
                text = f"{sent.push_id}: {session} is DUPLICATE, nothing was written"
                yield Violation("outcome", text, sent.t_return or 0.0)
        if sent.t_return is None or sent.refused or known.attempts[sent.push_id] > 1:
            continue
        for session, _node, outcome in sent.outcomes:
            receipts = known.receipts.get((sent.push_id, session), ())
            got = any(receipt.t is not None for receipt in receipts)
            if outcome in NOT_RECEIVED and session and receipts and got:
                yield Violation("outcome", f"{sent.push_id}: {session} is {outcome} and received it", sent.t_return)
            if outcome in RECEIVED and not receipts:
                yield Violation(
                    "outcome", f"{sent.push_id}: {session} is {outcome}, nothing was written", sent.t_return
                )
            elif outcome == "WRITTEN" and not got and not _has_ended(known, session):
                yield Violation("outcome", f"{sent.push_id}: {session} is WRITTEN and never got it", sent.t_return)
            elif outcome == "ACKED" and not known.history.acks.get((sent.push_id, session)):
                yield Violation("outcome", f"{sent.push_id}: {session} is ACKED and sent no ack", sent.t_return)
        yield from _offline_target(known, sent)


def _has_ended(known: _Known, session: int) -> bool:
    connected = known.connected.get(session)
    return connected is None or connected.t_ended is not None


def _offline_target(known: _Known, sent: Sent) -> Iterator[Violation]:
    if sent.counts == {"OFFLINE": 1} and sent.outcomes == [(0, "", "OFFLINE")]:
        for receipt in known.by_push.get(sent.push_id, ()):
            text = f"{sent.push_id}: the target is OFFLINE and {receipt.session} received it"
            yield Violation("outcome", text, sent.t_return or 0.0)


def _counts(known: _Known) -> Iterator[Violation]:
    """Each session has one outcome in a report, and the counts are those of the deliveries."""
    for sent in known.history.sent:
        listed = Counter(outcome for _, _, outcome in sent.outcomes)
        if listed != Counter(sent.counts):
            yield Violation("outcome", f"{sent.push_id}: counts {sent.counts}, listed {dict(listed)}", sent.t_invoke)
        sessions = Counter(session for session, _, _ in sent.outcomes if session)
        for session in [session for session, times in sessions.items() if times > 1]:
            outcomes = [(node, outcome) for one, node, outcome in sent.outcomes if one == session]
            yield Violation("outcome", f"{sent.push_id}: session {session} has {outcomes}", sent.t_return or 0.0)


def _one_report(known: _Known) -> Iterator[Violation]:
    """Each push has one report, unless its router was killed. To be judged when all reports are due."""
    for sent in known.history.sent:
        if sent.reports > 1 or (not sent.reports and sent.router not in known.history.router_ends):
            yield Violation("report", f"{sent.push_id} was reported {sent.reports} times", sent.t_invoke)


def _probes(known: _Known) -> Iterator[Violation]:
    """After the faults each push to an open session is written."""
    for push_id in sorted(known.history.probes):
        sent = known.sent.get(push_id)
        if sent is None:
            yield Violation("recovery", "a router does not serve after the faults", float("inf"))
        elif sent.counts != {"WRITTEN": 1}:
            text = f"{push_id} to {sent.target} after the faults: {sent.refused or sent.counts}"
            yield Violation("recovery", text, sent.t_invoke)


def _refused(known: _Known) -> Iterator[Violation]:
    """I6: an item that was refused with an error is never received."""
    for sent in known.history.sent:
        if sent.refused and known.by_push.get(sent.push_id) and known.attempts[sent.push_id] == 1:
            yield Violation("I6", f"{sent.push_id} was refused ({sent.refused}) and received", sent.t_return or 0.0)


# Fencing and deadlines ------------------------------------------------------------------------------------------------


def _fencing(known: _Known) -> Iterator[Violation]:
    """I4 and promise 5: an incarnation that is over writes nothing."""
    yield from (violation for violation, held in _written_when_over(known) if not held)


def _fencing_of_held(known: _Known) -> Iterator[Violation]:
    """The same for pushes that were held until their client was connected."""
    yield from (violation for violation, held in _written_when_over(known) if held)


def _written_when_over(known: _Known) -> Iterator[tuple[Violation, bool]]:
    store_faults = [fault for fault in known.history.faults if _may_hide_the_store(known, fault)]
    for receipt in known.history.receipts:
        owner, at = (receipt.node, receipt.epoch), _t(receipt)
        sent = known.sent.get(receipt.push_id)
        if sent is not None and sent.contacted is not None and owner not in sent.contacted:
            text = f"{receipt.push_id} was written by {owner}, sent to {sent.contacted}"
            yield Violation("I4", text, at), False
        for known_to, t in known.ended.get(owner, ()):
            if known_to == "node" and t < at:
                text = f"{receipt.push_id} was written by {owner}, which knew it was over"
                yield Violation("I4", text, at), receipt.held
            elif sent and known.attempts[sent.push_id] == 1 and known_to == sent.router and t < sent.t_invoke:
                yield Violation("I4", f"{receipt.push_id} was sent to {owner}, which {known_to} had ended", at), False
        gone = known.key_gone.get(owner)
        if owner in known.revoked:
            continue  # the node learns of it with its next keepalive
        if gone is not None and at > gone + ANSWER_VALID and not _fault_near(store_faults, gone, at):
            text = f"{receipt.push_id} was written by {owner}, whose key was gone {at - gone:.3f} s before"
            yield Violation("I4", text, at), receipt.held


def _may_hide_the_store(known: _Known, fault: Fault) -> bool:
    """Whether a router may be unable to read the store."""
    hosts = {name.partition(".")[0] for name in known.history.router_starts}
    return "store" in fault.fault and (fault.subject == "store" or bool(hosts & set(fault.subject.split())))


def _fault_near(faults: list[Fault], begin: float, end: float) -> bool:
    """Whether a fault of the store may have made a router answer AWAY between the two times."""
    open_faults: dict[tuple[str, str], float] = {}
    for fault in faults:
        key = fault.fault, fault.subject
        if fault.phase == "begin":
            open_faults[key] = fault.t
        else:
            began = open_faults.pop(key, None)
            if began is not None and began <= end and fault.t + STORE_AWAY_FOR >= begin:
                return True
    return any(began <= end for began in open_faults.values())


def _ttl(known: _Known) -> Iterator[Violation]:
    """Nothing is handed to a connection after its ttl."""
    for receipt in known.history.receipts:
        sent = known.sent.get(receipt.push_id)
        if sent is None or receipt.held or receipt.t_written is None or known.attempts[receipt.push_id] > 1:
            continue
        late = receipt.t_written - (sent.t_invoke + sent.ttl + receipt.clock_error)
        if late > EPSILON:
            yield Violation("ttl", f"{receipt.push_id} was written {late:.3f} s after its ttl", receipt.t_written)


# Who receives ---------------------------------------------------------------------------------------------------------


def _recipients(known: _Known) -> Iterator[Violation]:
    """I5: a session receives only what is for it: for itself, its user, everyone, or a file that it has joined."""
    for receipt in known.history.receipts:
        sent = known.sent.get(receipt.push_id)
        connected = known.connected.get(receipt.session)
        if sent is None or connected is None:
            continue
        kind, name = sent.target
        meant = {"session": str(receipt.session), "user": connected.user, "everyone": name}.get(kind)
        if kind == "file":
            meant = name if _was_member(known, receipt, sent, name) else None
        if meant != name:
            yield Violation("I5", f"{receipt.push_id} for {sent.target} was written to {receipt.session}", _t(receipt))
        came_later = sent.t_return is not None and connected.t_request > sent.t_return
        if came_later and "UNREACHABLE" not in sent.counts and known.attempts[sent.push_id] == 1:
            text = f"{receipt.push_id} reached {receipt.session}, which came after its report"
            yield Violation("I4", text, _t(receipt))


def _was_member(known: _Known, receipt: Receipt, sent: Sent, file: str) -> bool:
    connected = known.connected[receipt.session]
    if file in connected.files and not known.memberships.get(receipt.session):
        return True
    for one in known.memberships.get(receipt.session, ()):
        joined_before = one.t_request <= _t(receipt)
        if one.file == file and joined_before and (one.t_left is None or one.t_left >= known.invoked[sent.push_id]):
            return True
    return any(
        not one.leave and one.t_request <= _t(receipt) and connected.t_request <= _answered(one)
        for one in known.changes.get((connected.user, file), ())
    )


def _answered(change: BackendChange) -> float:
    return change.t_answered if change.t_answered is not None else float("inf")


def _reached(known: _Known) -> Iterator[Violation]:
    """Who was told "connected" or "joined" is reached by the next push, unless its report shows that it may not be."""
    by_target = _by_target(known)
    for sent in known.history.sent:
        if sent.t_return is None or sent.refused or sent.registry_away or "UNREACHABLE" in sent.counts:
            continue
        listed = {session for session, _, _ in sent.outcomes}
        for connected, since, routers, until in by_target.get(sent.target, ()):
            if connected.session in listed or not _must_reach(known, sent, connected, since, routers, until):
                continue
            text = f"{sent.push_id} to {sent.target} missed {connected.session} on {connected.node}.{connected.epoch}"
            yield Violation("reached", text, sent.t_return)


_Reachable = tuple[Connected, float, frozenset[str] | None, float | None]


def _by_target(known: _Known) -> dict[tuple[str, str], list[_Reachable]]:
    """The sessions that each target means, each with the time from which, and until which, it must be reached."""
    found: dict[tuple[str, str], list[_Reachable]] = defaultdict(list)
    for one in known.history.connected:
        entry = one, one.t, one.routers, None
        for target in ("session", str(one.session)), ("user", one.user), ("everyone", "everyone"):
            found[target].append(entry)
        for membership in known.memberships.get(one.session, ()):
            if membership.t_joined is not None:
                leaves = [
                    change.t_request
                    for change in known.changes.get((one.user, membership.file), ())
                    if change.leave and _answered(change) >= membership.t_request
                ]
                until = min((t for t in (*leaves, membership.t_leave) if t is not None), default=None)
                found["file", membership.file].append((one, membership.t_joined, membership.routers, until))
    return found


def _must_reach(
    known: _Known, sent: Sent, one: Connected, since: float, routers: frozenset[str] | None, until: float | None
) -> bool:
    assert sent.t_return is not None
    if since >= sent.t_invoke:
        return False
    if one.t_ended is not None and one.t_ended <= sent.t_return:
        return False
    if until is not None and until <= sent.t_return:
        return False
    restored = known.restored_before(one.node, since, sent.t_invoke)
    if restored is not None:
        since, routers = restored.t, restored.routers
    elif not one.registered:
        return False
    epoch = restored.epoch if restored is not None else one.epoch
    if any(t <= sent.t_return for _, t in known.ended.get((one.node, epoch), ())):
        return False
    if routers is None or sent.router in routers:
        return True
    return since < known.history.router_starts.get(sent.router, 0.0)


# Ids, and what is left ------------------------------------------------------------------------------------------------


def _ids(known: _Known) -> Iterator[Violation]:
    """I7: ids are unique."""
    seen: dict[int, Connected] = {}
    for one in known.history.connected:
        before = seen.setdefault(one.session, one)
        if before is not one:
            yield Violation("I7", f"session id {one.session} was given to {before.conn} and {one.conn}", one.t)


def _agreement(known: _Known) -> Iterator[Violation]:
    """I8: after the faults are over, every table, every node's open sessions and the store's keys agree."""
    states = known.history.states
    sessions = frozenset().union(*(one.sessions for one in states if one.place.startswith("node ")))
    files = frozenset().union(*(one.files for one in states if one.place.startswith("node ")))
    for state in states:
        if not state.place.startswith("node "):
            for kind, own, right in ("session", state.sessions, sessions), ("file", state.files, files):
                for extra in sorted(own - right):
                    yield Violation("I8", f"{state.place} has {kind} {extra}, which no node has", float("inf"))
                for missing in sorted(right - own):
                    yield Violation("I8", f"{state.place} lacks {kind} {missing}", float("inf"))


def _crashes(known: _Known) -> Iterator[Violation]:
    """No process ends by itself, but one that cannot start."""
    for fault in known.history.faults:
        if fault.fault == "crash":
            yield Violation("crash", f"{fault.subject} has ended by itself", fault.t)


INVARIANTS: tuple[Callable[[_Known], Iterator[Violation]], ...] = (
    _duplicates,
    _order,
    _receipts_in_written_order,
    _outcomes,
    _counts,
    _one_report,
    _probes,
    _refused,
    _fencing,
    _ttl,
    _recipients,
    _reached,
    _ids,
    _agreement,
    _crashes,
    _order_after_waiting,
    _fencing_of_held,
)
