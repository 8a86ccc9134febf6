"""The token bucket: no client gets more than burst + rate x time, and none that keeps to it is refused."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.sessions.rates import Bucket, LimitSettings, MessageRates

RATE, BURST = 10, 20  # messages
BYTE_RATE, BYTE_BURST = 1000, 3000
SETTINGS = LimitSettings(RATE, BURST, BYTE_RATE, BYTE_BURST)
SLACK = 1e-6  # of floating point

Steps = st.lists(
    st.tuples(st.sampled_from([0.0, 0.01, 0.1, 0.5, 3.0, 100.0]), st.integers(0, 5000), st.booleans()), max_size=60
)


class Client:
    def __init__(self) -> None:
        self.bucket: Bucket | None = None


@given(Steps)
def test_what_is_let_through_is_within_burst_and_rate_in_every_window(steps: list[tuple[float, int, bool]]) -> None:
    now = 1000.0
    rates, client = MessageRates(SETTINGS, 100, lambda: now), Client()
    passed: list[tuple[float, int]] = []
    paused = 0.0
    for wait, size, pause in steps:
        now += wait
        if pause:
            rates.resume(client)
            paused += wait
        if not rates.take(client, size):
            break
        passed.append((now, min(size, BYTE_BURST)))
    for first, (since, _) in enumerate(passed):
        window = passed[first:]
        seconds = passed[-1][0] - since + paused
        assert len(window) <= BURST + RATE * seconds + SLACK
        assert sum(size for _, size in window) <= BYTE_BURST + BYTE_RATE * seconds + SLACK


@given(st.lists(st.integers(0, 100), min_size=1, max_size=200))
def test_a_client_that_keeps_to_the_rate_is_never_refused(sizes: list[int]) -> None:
    now = 0.0
    rates, client = MessageRates(SETTINGS, 100, lambda: now), Client()
    for size in sizes:
        now += 1 / RATE
        assert rates.take(client, size)


@given(st.integers(0, 10_000_000), st.integers(1, 10_000_000))
def test_after_a_rest_one_message_of_any_size_is_allowed(size: int, max_message: int) -> None:
    now = 0.0
    rates, client = MessageRates(SETTINGS, max_message, lambda: now), Client()
    for _ in range(3):
        assert rates.take(client, size)
        now += max(BYTE_BURST, max_message) / BYTE_RATE + 1


@given(Steps)
def test_zero_is_no_limit(steps: list[tuple[float, int, bool]]) -> None:
    now = 0.0
    rates, client = MessageRates(LimitSettings(0, 1, 0, 1), 1, lambda: now), Client()
    for wait, size, pause in steps:
        now += wait
        if pause:
            rates.resume(client)
        assert rates.take(client, size)


@given(st.integers(1, BURST), st.integers(0, BYTE_BURST), st.sampled_from([0.0, 0.5, 2.0, 3.0, 10.0]))
def test_only_a_full_bucket_is_forgotten(messages: int, size: int, rest: float) -> None:
    now = 0.0
    rates, client = MessageRates(SETTINGS, 100, lambda: now), Client()
    for _ in range(messages):
        rates.take(client, size // messages)
    now += rest
    rates.forget_if_full(client)
    full = messages <= RATE * rest and size // messages * messages <= BYTE_RATE * rest
    assert (client.bucket is None) is full


def test_who_has_sent_nothing_has_no_bucket() -> None:
    rates, client = MessageRates(SETTINGS, 100, lambda: 0.0), Client()
    rates.resume(client)
    rates.give_back(client)
    rates.forget_if_full(client)
    assert client.bucket is None


def test_what_is_given_back_may_be_sent_again() -> None:
    rates, client = MessageRates(SETTINGS, 100, lambda: 0.0), Client()
    for _ in range(10 * BURST):
        assert rates.take(client, 1)
        rates.give_back(client)
