"""A stub of a gateway or a router: prints its ready line, then behaves as its arguments select.

stub_service.py KIND BEHAVIOUR, where BEHAVIOUR is good, fails, ignores_sigterm or chatty (fills its stdout).
"""

import json
import os
import signal
import sys
import time

READY = {
    "gateway": {"node_id": f"g{os.getpid()}", "url": "ws://127.0.0.1:1/ws", "node": "n:1", "admin": "a:1"},
    "router": {"id": "r", "grpc": "127.0.0.1:2", "http": "127.0.0.1:3", "admin": "127.0.0.1:4"},
}


def main(kind: str, behaviour: str) -> None:
    if behaviour == "fails":
        print("first line\nport 80 is in use", file=sys.stderr)
        sys.exit(1)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if behaviour == "ignores_sigterm" else lambda *_: sys.exit(0))
    print("a line that is no JSON")
    print(json.dumps({"ready": kind, "pid": os.getpid(), **READY[kind]}), flush=True)
    if behaviour == "chatty":
        print("x" * 3_000_000, flush=True)
        print("that was a lot", file=sys.stderr, flush=True)
    while True:
        time.sleep(0.5)


if __name__ == "__main__":
    main(*sys.argv[1:])
