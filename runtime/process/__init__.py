"""A service as a process: configuration, lifecycle, logs, the ready line, the admin listener, tasks."""
