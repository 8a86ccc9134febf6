"""`python -m homing`: the command. What `homing up` starts its gateways and routers with."""

from homing.command.root import main

if __name__ == "__main__":
    main()
