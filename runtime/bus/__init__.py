"""The bus: what all services of a cluster share beside etcd, Redis or Kafka, chosen by `[bus] kind`.

Client events go out on it (`gateway.events`), commands come in on it (`router.commands`), and in broadcast mode it
carries every push to every gateway (design §6): that channel's two ends stand here, because a router writes what
gateways read.
"""
