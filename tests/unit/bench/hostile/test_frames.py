import h2.config
import h2.connection
import h2.events
import hpack
import pytest

from bench.hostile import frames


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 254, 255, 20_000])
def test_literals_are_hpack(size):
    decoded = hpack.Decoder(1 << 20).decode(frames.literal("x-a", "v" * size), raw=True)
    assert [tuple(map(bytes, field)) for field in decoded] == [(b"x-a", b"v" * size)]


def test_a_call_is_legal():
    """h2 is the peer that tells."""
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    server.initiate_connection()
    events = server.receive_data(
        frames.PREFACE
        + frames.settings([(frames.INITIAL_WINDOW_SIZE, 1), (frames.INITIAL_WINDOW_SIZE, 2)])
        + frames.window_update(0, 1)
        + frames.call(1, frames.HEALTH, b"abc", [("x-large", "v" * 40_000)])
        + frames.rst_stream(1)
    )
    headers = next(event for event in events if isinstance(event, h2.events.RequestReceived)).headers
    data = next(event for event in events if isinstance(event, h2.events.DataReceived)).data
    assert (b":path", frames.HEALTH.encode()) in [tuple(map(bytes, field)) for field in headers]
    assert data == b"\0\0\0\0\x03abc"
    assert any(isinstance(event, h2.events.StreamEnded) for event in events)


def test_errors_have_names():
    assert [frames.error_name(code) for code in (0, 11, 255)] == ["NO_ERROR", "ENHANCE_YOUR_CALM", "255"]
