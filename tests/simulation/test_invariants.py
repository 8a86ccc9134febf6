"""The checker: a sound history has no violation, and each change to it is found by the invariant that it breaks."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.simulation.history import (
    BackendChange,
    Connected,
    Fault,
    History,
    IncarnationEnd,
    Membership,
    Receipt,
    Restored,
    Sent,
    State,
)
from tests.simulation.invariants import check

SESSIONS = frozenset({(101, "gw-1", 5), (102, "gw-2", 6)})
FILES = frozenset({("f1", "gw-1", 5)})


def sound() -> History:
    """Two clients of one user, of whom the first has joined a file; a push to each target, all written."""
    history = History()
    history.router_starts["r1"] = 0.0
    for conn, node, epoch in (1, "gw-1", 5), (2, "gw-2", 6):
        history.connected.append(Connected(conn, 100 + conn, "ada", node, epoch, (), 0.5, 1.0))
    history.memberships.append(Membership(101, "f1", 1.0, 1.5))
    for number, (kind, name) in enumerate((("session", "101"), ("user", "ada"), ("file", "f1"))):
        sent = Sent(f"p{number}", "a", "r1", (kind, name), 2.0 + number, ttl=1.0)
        sent.t_return, sent.reports, sent.contacted = sent.t_invoke + 0.1, 1, set()
        history.sent.append(sent)
        for conn, node, epoch in ((1, "gw-1", 5), (2, "gw-2", 6))[: 2 if kind == "user" else 1]:
            written = sent.t_invoke + 0.01
            history.receipts.append(Receipt(conn, 100 + conn, node, epoch, f"p{number}", written + 0.01, written))
            sent.outcomes.append((100 + conn, node, "WRITTEN"))
            sent.contacted.add((node, epoch))
        sent.counts = {"WRITTEN": len(sent.outcomes)}
    history.states += [State("node gw-1", frozenset({(101, "gw-1", 5)}), FILES)]
    history.states += [State("node gw-2", frozenset({(102, "gw-2", 6)}), frozenset())]
    history.states += [State(place, SESSIONS, FILES) for place in ("router r1", "store", "clients")]
    return history


def set_outcome(history: History, number: int, outcome: str) -> None:
    sent = history.sent[number]
    sent.outcomes = [(session, node, outcome) for session, node, _ in sent.outcomes]
    sent.counts = {outcome: len(sent.outcomes)}


def written_twice(history: History) -> None:
    history.receipts.insert(1, history.receipts[0])


def out_of_order(history: History) -> None:
    history.sent[1].target = history.sent[0].target = ("user", "ada")
    history.receipts[0].t = history.receipts[0].t_written = 3.02
    history.receipts[1].t = history.receipts[1].t_written = 3.01
    history.sent[0].t_invoke = 2.99


def received_out_of_order(history: History) -> None:
    first, second = (receipt for receipt in history.receipts if receipt.push_id in ("p0", "p2"))
    first.t, second.t = 9.0, 8.0


def never_received(history: History) -> None:
    history.receipts[0].t = None


def not_even_written(history: History) -> None:
    del history.receipts[0]


def offline_and_received(history: History) -> None:
    set_outcome(history, 0, "OFFLINE")


def expired_and_received(history: History) -> None:
    set_outcome(history, 0, "EXPIRED")


def offline_target_and_received(history: History) -> None:
    history.sent[0].outcomes, history.sent[0].counts = [(0, "", "OFFLINE")], {"OFFLINE": 1}


def acked_without_ack(history: History) -> None:
    set_outcome(history, 0, "ACKED")


def counted_twice(history: History) -> None:
    history.sent[0].counts = {"WRITTEN": 2}


def listed_twice(history: History) -> None:
    history.sent[0].outcomes *= 2
    history.sent[0].counts = {"WRITTEN": 2}


def reported_twice(history: History) -> None:
    history.sent[0].reports = 2


def never_reported(history: History) -> None:
    history.sent[0].reports, history.sent[0].t_return = 0, None


def refused_and_received(history: History) -> None:
    history.sent[0].refused = "the queue is full"


def written_by_who_was_not_sent_it(history: History) -> None:
    history.receipts[0].epoch = 4


def written_by_who_knew_it_was_over(history: History) -> None:
    history.ends.append(IncarnationEnd("gw-1", 5, "node", 2.0))


def sent_to_who_was_over(history: History) -> None:
    history.ends.append(IncarnationEnd("gw-1", 5, "r1", 1.9))


def written_long_after_the_key_was_gone(history: History) -> None:
    history.ends.append(IncarnationEnd("gw-1", 5, "store", 1.4))
    history.faults += [Fault("store block", "begin", "gw-1 > store", 1.0), Fault("pause", "begin", "gw-1", 1.0)]


def written_after_its_ttl(history: History) -> None:
    history.receipts[0].t = history.receipts[0].t_written = 3.1


def written_to_another_user(history: History) -> None:
    history.sent[1].target = ("user", "bob")


def written_to_who_has_left(history: History) -> None:
    history.memberships[0].t_leave, history.memberships[0].t_left = 3.0, 3.5


def written_to_who_joined_later(history: History) -> None:
    history.memberships[0].t_request = history.memberships[0].t_joined = 5.0


def reached_who_came_later(history: History) -> None:
    history.connected[0].t_request = 2.9


def missed(history: History) -> None:
    del history.receipts[2]
    del history.sent[1].outcomes[1]
    history.sent[1].counts = {"WRITTEN": 1}


def same_id(history: History) -> None:
    history.connected.append(Connected(3, 101, "bob", "gw-1", 5, (), 5.0, 5.1))


def table_has_more(history: History) -> None:
    history.states[2].sessions |= {(103, "gw-1", 5)}


def store_lacks_a_file(history: History) -> None:
    history.states[3].files = frozenset()


def not_recovered(history: History) -> None:
    history.probes.add("p1")


BROKEN: dict[Callable[[History], None], str] = {
    written_twice: "I2",
    out_of_order: "order",
    received_out_of_order: "order",
    never_received: "outcome",
    not_even_written: "outcome",
    offline_and_received: "outcome",
    expired_and_received: "outcome",
    offline_target_and_received: "outcome",
    acked_without_ack: "outcome",
    counted_twice: "outcome",
    listed_twice: "outcome",
    reported_twice: "report",
    never_reported: "report",
    refused_and_received: "I6",
    written_by_who_was_not_sent_it: "I4",
    written_by_who_knew_it_was_over: "I4",
    sent_to_who_was_over: "I4",
    written_long_after_the_key_was_gone: "I4",
    written_after_its_ttl: "ttl",
    written_to_another_user: "I5",
    written_to_who_has_left: "I5",
    written_to_who_joined_later: "I5",
    reached_who_came_later: "I4",
    missed: "reached",
    same_id: "I7",
    table_has_more: "I8",
    store_lacks_a_file: "I8",
    not_recovered: "recovery",
}


def test_a_sound_history_has_no_violation() -> None:
    assert check(sound()) == []


@pytest.mark.parametrize("change", BROKEN, ids=lambda change: change.__name__)
def test_a_violation_is_found(change: Callable[[History], None]) -> None:
    history = sound()
    change(history)
    assert BROKEN[change] in {violation.invariant for violation in check(history)}


# What is no violation -------------------------------------------------------------------------------------------------


def unreachable(history: History) -> None:
    missed(history)
    history.sent[1].outcomes.append((0, "gw-2", "UNREACHABLE"))
    history.sent[1].counts = {"WRITTEN": 1, "UNREACHABLE": 1}


def registry_away(history: History) -> None:
    missed(history)
    history.sent[1].registry_away = True


def connection_ended(history: History) -> None:
    never_received(history)
    history.connected[0].t_ended = 2.015


def closed_meanwhile(history: History) -> None:
    missed(history)
    history.connected[1].t_ended = 3.05


def incarnation_over_meanwhile(history: History) -> None:
    missed(history)
    history.ends.append(IncarnationEnd("gw-2", 6, "store", 3.05))


def missed_of_kept_sessions(history: History) -> None:
    incarnation_over_meanwhile(history)
    history.ends[0].t = 1.2
    history.restored.append(Restored("gw-2", 9, 1.4))


def router_behind(history: History) -> None:
    missed(history)
    history.connected[1].routers = frozenset({"r2"})


def unregistered(history: History) -> None:
    missed(history)
    history.connected[1].registered = False


def routers_could_not_read(history: History) -> None:
    written_long_after_the_key_was_gone(history)
    history.faults.append(Fault("store pause", "begin", "store", 1.0))


def joined_by_a_backend(history: History) -> None:
    history.memberships.clear()
    history.backend_changes.append(BackendChange("ada", "f1", False, 1.0))


def router_killed(history: History) -> None:
    never_reported(history)
    history.router_ends["r1"] = 2.05


def duplicate(history: History) -> None:
    """Its caller has repeated it."""
    again = Sent("p0", "repeats", "r1", ("session", "101"), 5.0, t_return=5.1, reports=1)
    again.outcomes, again.counts = [(101, "gw-1", "DUPLICATE")], {"DUPLICATE": 1}
    history.sent.append(again)


HARMLESS = (
    *(unreachable, registry_away, connection_ended, closed_meanwhile, incarnation_over_meanwhile, router_behind),
    *(unregistered, routers_could_not_read, joined_by_a_backend, router_killed, duplicate),
)


@pytest.mark.parametrize("change", HARMLESS, ids=lambda change: change.__name__)
def test_what_is_allowed_is_no_violation(change: Callable[[History], None]) -> None:
    history = sound()
    change(history)
    assert check(history) == []


def duplicate_of_nothing(history: History) -> None:
    duplicate(history)
    del history.receipts[0]


def repeat_written_again(history: History) -> None:
    duplicate(history)
    written_twice(history)


def written_under_two_epochs(history: History) -> None:
    history.receipts.insert(1, replace(history.receipts[0], epoch=7))
    history.sent[0].contacted = {("gw-1", 5), ("gw-1", 7)}


def ended_by_itself(history: History) -> None:
    history.faults.append(Fault("crash", "begin", "gw-1", 2.0))


def reported_under_two_epochs(history: History) -> None:
    listed_twice(history)
    history.sent[0].contacted = {("gw-1", 5), ("gw-1", 7)}


def healed_late(history: History) -> None:
    sent, late = history.sent[0], history.receipts.pop(0)
    sent.target, sent.ttl, sent.t_return, sent.registry_away = ("user", "ada"), 30.0, 3.5, True
    late.t = late.t_written = 3.3
    history.receipts.insert(2, late)


def held_by_who_knew_it_was_over(history: History) -> None:
    written_by_who_knew_it_was_over(history)
    for receipt in history.receipts:
        receipt.held = receipt.node == "gw-1"


JUDGED_TOO = (
    *(duplicate_of_nothing, repeat_written_again, missed_of_kept_sessions),
    *(written_under_two_epochs, reported_under_two_epochs, ended_by_itself),
    *(healed_late, held_by_who_knew_it_was_over),
)


@pytest.mark.parametrize("change", JUDGED_TOO, ids=lambda change: change.__name__)
def test_repeats_kept_sessions_and_crashes_are_judged_too(change: Callable[[History], None]) -> None:
    history = sound()
    change(history)
    assert check(history)
