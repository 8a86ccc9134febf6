import pytest

from registry.lapse import FencingAnswer, LeaseState, LeaseTracker

TTL = 10.0


@pytest.fixture
def lapse() -> LeaseTracker:
    return LeaseTracker(TTL, sent=100.0)


def test_a_lease_is_certain_until_a_second_before_its_ttl_since_sent(lapse: LeaseTracker) -> None:
    assert not lapse.lapsed(108.99)
    assert lapse.lapsed(109.0)
    assert lapse.lease_state(108.99) is LeaseState.HELD
    assert lapse.lease_state(109.0) is LeaseState.LAPSED


def test_an_answered_keepalive_counts_from_when_it_was_sent(lapse: LeaseTracker) -> None:
    lapse.kept(103.0)
    assert not lapse.lapsed(111.9)
    assert lapse.lapsed(112.0)


def test_answers_out_of_order_never_shorten_it(lapse: LeaseTracker) -> None:
    lapse.kept(105.0)
    lapse.kept(102.0)
    assert lapse.certain_until == 114.0


def test_alive_is_good_for_half_a_second_since_the_question(lapse: LeaseTracker) -> None:
    lapse.answered(FencingAnswer.ALIVE, asked=120.0)
    assert lapse.lease_state(120.49) is LeaseState.HELD
    assert lapse.lease_state(120.5) is LeaseState.LAPSED
    assert lapse.lapsed(120.1), "what the node knows by itself stays as it is"


def test_an_answer_that_lay_in_a_buffer_proves_nothing(lapse: LeaseTracker) -> None:
    lapse.answered(FencingAnswer.ALIVE, asked=109.0)
    assert lapse.lease_state(140.0) is LeaseState.LAPSED


def test_away_lets_the_node_go_on_as_unregistered(lapse: LeaseTracker) -> None:
    lapse.answered(FencingAnswer.AWAY, asked=120.0)
    assert lapse.lease_state(120.2) is LeaseState.AWAY
    assert lapse.lease_state(120.6) is LeaseState.LAPSED


def test_the_newest_question_counts(lapse: LeaseTracker) -> None:
    lapse.answered(FencingAnswer.AWAY, asked=120.2)
    lapse.answered(FencingAnswer.ALIVE, asked=120.0)
    assert lapse.lease_state(120.3) is LeaseState.AWAY


def test_a_keepalive_ends_the_lapse(lapse: LeaseTracker) -> None:
    lapse.answered(FencingAnswer.AWAY, asked=120.0)
    lapse.kept(120.1)
    assert lapse.lease_state(120.2) is LeaseState.HELD
    assert not lapse.lapsed(120.2)


@pytest.mark.parametrize("how", ["router", "store"])
def test_fenced_is_for_ever(lapse: LeaseTracker, how: str) -> None:
    if how == "router":
        lapse.answered(FencingAnswer.FENCED, asked=120.0)
    else:
        lapse.fence()
    lapse.answered(FencingAnswer.ALIVE, asked=121.0)
    lapse.kept(121.0)
    assert lapse.lease_state(121.1) is LeaseState.FENCED
    assert lapse.lapsed(121.1)
