"""The store port over etcd v3, by gRPC and this project's own subset of the messages."""
