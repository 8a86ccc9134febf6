import pytest

from registry.lease_state import FencingAnswer, LeaseState, LeaseTracker

TTL = 10.0


@pytest.fixture
def lease() -> LeaseTracker:
    return LeaseTracker(TTL, sent=100.0)


def test_a_lease_is_certain_until_a_second_before_its_ttl_since_sent(lease: LeaseTracker) -> None:
    assert not lease.lapsed(108.99)
    assert lease.lapsed(109.0)
    assert lease.state(108.99) is LeaseState.HELD
    assert lease.state(109.0) is LeaseState.LAPSED


def test_an_answered_keepalive_counts_from_when_it_was_sent(lease: LeaseTracker) -> None:
    lease.on_keepalive(103.0)
    assert not lease.lapsed(111.9)
    assert lease.lapsed(112.0)


def test_keepalives_answered_out_of_order_never_shorten_the_lease(lease: LeaseTracker) -> None:
    lease.on_keepalive(105.0)
    lease.on_keepalive(102.0)
    assert lease.certain_until == 114.0


def test_alive_is_valid_for_half_a_second_from_the_query(lease: LeaseTracker) -> None:
    lease.on_fencing_answer(FencingAnswer.ALIVE, queried=120.0)
    assert lease.state(120.49) is LeaseState.HELD
    assert lease.state(120.5) is LeaseState.LAPSED
    assert lease.lapsed(120.1), "what the node knows by itself stays as it is"


def test_an_answer_that_lay_in_a_buffer_is_worth_nothing(lease: LeaseTracker) -> None:
    lease.on_fencing_answer(FencingAnswer.ALIVE, queried=109.0)
    assert lease.state(140.0) is LeaseState.LAPSED


def test_away_lets_the_node_continue_as_unregistered(lease: LeaseTracker) -> None:
    lease.on_fencing_answer(FencingAnswer.AWAY, queried=120.0)
    assert lease.state(120.2) is LeaseState.AWAY
    assert lease.state(120.6) is LeaseState.LAPSED


def test_the_newest_query_counts(lease: LeaseTracker) -> None:
    lease.on_fencing_answer(FencingAnswer.AWAY, queried=120.2)
    lease.on_fencing_answer(FencingAnswer.ALIVE, queried=120.0)
    assert lease.state(120.3) is LeaseState.AWAY


def test_a_node_is_cut_off_while_only_the_routers_hear_from_the_store(lease: LeaseTracker) -> None:
    assert lease.cut_off(108.0) == 0.0, "the lease is certain"
    lease.on_fencing_answer(FencingAnswer.ALIVE, queried=111.0)
    lease.on_fencing_answer(FencingAnswer.FENCED, queried=112.0)
    assert lease.cut_off(112.0) == 3.0


def test_a_node_is_not_cut_off_while_the_store_is_away_for_the_routers_too(lease: LeaseTracker) -> None:
    lease.on_fencing_answer(FencingAnswer.AWAY, queried=129.0)
    lease.on_fencing_answer(FencingAnswer.FENCED, queried=130.0)
    assert lease.cut_off(130.0) == 0.0


def test_a_keepalive_ends_the_lapse(lease: LeaseTracker) -> None:
    lease.on_fencing_answer(FencingAnswer.AWAY, queried=120.0)
    lease.on_keepalive(120.1)
    assert lease.state(120.2) is LeaseState.HELD
    assert not lease.lapsed(120.2)


@pytest.mark.parametrize("how", ["router", "store"])
def test_fenced_is_final(lease: LeaseTracker, how: str) -> None:
    if how == "router":
        lease.on_fencing_answer(FencingAnswer.FENCED, queried=120.0)
    else:
        lease.set_fenced()
    lease.on_fencing_answer(FencingAnswer.ALIVE, queried=121.0)
    lease.on_keepalive(121.0)
    assert lease.fenced
    assert lease.state(121.1) is LeaseState.FENCED
    assert lease.lapsed(121.1)
