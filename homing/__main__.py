"""`python -m homing`: the command; `homing up` starts gateways and routers with it."""

from homing.command.root import main

if __name__ == "__main__":
    main()
