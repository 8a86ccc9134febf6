"""How far one router, and etcd, carry: docs/scale.md."""
