import pytest

from registry.lapse import Answer, Lapse, Standing

TTL = 10.0


@pytest.fixture
def lapse() -> Lapse:
    return Lapse(TTL, sent=100.0)


def test_a_lease_is_certain_until_a_second_before_its_ttl_since_sent(lapse: Lapse) -> None:
    assert not lapse.lapsed(108.99)
    assert lapse.lapsed(109.0)
    assert lapse.standing(108.99) is Standing.HELD
    assert lapse.standing(109.0) is Standing.LAPSED


def test_an_answered_keepalive_counts_from_when_it_was_sent(lapse: Lapse) -> None:
    lapse.kept(103.0)
    assert not lapse.lapsed(111.9)
    assert lapse.lapsed(112.0)


def test_answers_out_of_order_never_shorten_it(lapse: Lapse) -> None:
    lapse.kept(105.0)
    lapse.kept(102.0)
    assert lapse.certain_until == 114.0


def test_alive_is_good_for_half_a_second_since_the_question(lapse: Lapse) -> None:
    lapse.answered(Answer.ALIVE, asked=120.0)
    assert lapse.standing(120.49) is Standing.HELD
    assert lapse.standing(120.5) is Standing.LAPSED
    assert lapse.lapsed(120.1), "what the node knows by itself stays as it is"


def test_an_answer_that_lay_in_a_buffer_proves_nothing(lapse: Lapse) -> None:
    lapse.answered(Answer.ALIVE, asked=109.0)
    assert lapse.standing(140.0) is Standing.LAPSED


def test_away_lets_the_node_go_on_as_unregistered(lapse: Lapse) -> None:
    lapse.answered(Answer.AWAY, asked=120.0)
    assert lapse.standing(120.2) is Standing.AWAY
    assert lapse.standing(120.6) is Standing.LAPSED


def test_the_newest_question_counts(lapse: Lapse) -> None:
    lapse.answered(Answer.AWAY, asked=120.2)
    lapse.answered(Answer.ALIVE, asked=120.0)
    assert lapse.standing(120.3) is Standing.AWAY


def test_a_keepalive_ends_the_lapse(lapse: Lapse) -> None:
    lapse.answered(Answer.AWAY, asked=120.0)
    lapse.kept(120.1)
    assert lapse.standing(120.2) is Standing.HELD
    assert not lapse.lapsed(120.2)


@pytest.mark.parametrize("how", ["router", "store"])
def test_fenced_is_for_ever(lapse: Lapse, how: str) -> None:
    if how == "router":
        lapse.answered(Answer.FENCED, asked=120.0)
    else:
        lapse.fence()
    lapse.answered(Answer.ALIVE, asked=121.0)
    lapse.kept(121.0)
    assert lapse.standing(121.1) is Standing.FENCED
    assert lapse.lapsed(121.1)
