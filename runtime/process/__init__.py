"""A service as a process: configuration, logs, the ready line, the admin listener, tasks."""
