"""The client library for backends: `from homing import Router`, or `SyncRouter` for scripts."""
