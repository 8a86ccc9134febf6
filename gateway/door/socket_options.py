"""Shell: what the kernel does for each client's connection. Set on the listening socket, which every one inherits.

Whoever is half-open is found by the heartbeat first. The kernel finds those that the heartbeat does not judge, because
nothing is read from them or because their bytes wait: by the same time, so that one figure holds for all.
"""

import math
import socket

import msgspec

TCP_NOTSENT_LOWAT = 25  # Linux, tcp(7); Python 3.11's socket module has no name for it
UNSENT_IN_KERNEL = 128 * 1024  # bytes that the kernel takes for one client beyond what is on the wire
PROBES = 3  # unanswered keepalives, then the peer is gone
LONGEST = 32_767  # seconds that the kernel takes for either of its times (MAX_TCP_KEEPIDLE)


class SocketOptions(msgspec.Struct, frozen=True):
    """Durations in seconds, of the heartbeat (`[gateway.heartbeat]`)."""

    longest_interval: float = 50.0  # between two signs of life of a client that is alive
    timeout: float = 20.0  # for one more
    max_segment: int = 0  # bytes of TCP's payload in one packet at most; 0: as the kernel finds out

    def probe_interval(self) -> int:
        """Whole seconds, as the kernel counts."""
        return min(LONGEST, max(1, math.ceil(self.timeout / (PROBES + 1))))

    def probe_after(self) -> int:
        """Seconds of silence before the first keepalive: a pong comes earlier, so none is sent to who answers pings."""
        return min(LONGEST, math.ceil(self.longest_interval) + self.probe_interval())

    def lost_after(self) -> int:
        """Seconds after which the kernel ends a connection whose peer is silent, or acknowledges nothing."""
        return self.probe_after() + PROBES * self.probe_interval()


def set_options(listening: socket.socket, options: SocketOptions) -> None:
    """OSError: the kernel does not take a value."""
    tcp = {
        TCP_NOTSENT_LOWAT: UNSENT_IN_KERNEL,
        socket.TCP_KEEPIDLE: options.probe_after(),
        socket.TCP_KEEPINTVL: options.probe_interval(),
        socket.TCP_KEEPCNT: PROBES,
        socket.TCP_USER_TIMEOUT: options.lost_after() * 1000,
    }
    if options.max_segment:
        tcp[socket.TCP_MAXSEG] = options.max_segment
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in tcp.items():
        listening.setsockopt(socket.IPPROTO_TCP, name, value)
