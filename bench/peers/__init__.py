"""Other WebSocket servers beside the gateway, driven by the same clients in one run: `python -m bench.peers`.

Each server is a process of its own. Those of other projects run in the environment that `make peers` installs, with
`bench` on their path, so their modules (`*_process`) import nothing but the standard library, their own package and
`server_settings`. What all of them do:

* print the port, and take the command line of `ServerSettings`;
* send back each message; a message of one byte is sent to all connections instead, as 200 bytes.
"""
