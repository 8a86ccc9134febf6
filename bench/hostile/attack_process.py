"""One attack as a process: `python -m bench.hostile.attack_process NAME PORT HTTP_PORT SECONDS`.

It prints what the server did, in one line.
"""

import sys

from bench.hostile.attack import Ports
from bench.hostile.suite import BY_NAME


def main(arguments: list[str]) -> None:
    """Run the attack that the command line names."""
    name, port, http_port, seconds = arguments
    try:
        found = BY_NAME[name].run(Ports(int(port), int(http_port)), float(seconds))
    except OSError as error:
        found = f"refused: {error}"
    print(found, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
