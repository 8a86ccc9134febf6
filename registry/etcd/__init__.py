"""The store port on etcd v3, over gRPC, with this project's own subset of etcd's messages."""
