"""The bus: Redis or Kafka, chosen by `[bus] kind`.

Client events are published on it (`gateway.events`), commands are consumed from it (`router.commands`), and in
broadcast mode it carries every push to every gateway (docs/design.md, "Broadcast mode"). Publisher and subscriber of
that channel are here, because a router publishes what gateways receive.
"""
