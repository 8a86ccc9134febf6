"""Deletes this run's topics from a Kafka that the user runs."""

import asyncio

from homing.cluster.errors import CommandError


def delete_topics(kafka: str, prefix: str) -> None:
    """Delete every topic whose name starts with `prefix`. `kafka`: host:port[,...]. CommandError: deletion failed."""
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    async def delete() -> None:
        client = AIOKafkaAdminClient(bootstrap_servers=kafka.split(","))
        try:
            await client.start()
            await client.delete_topics([topic for topic in await client.list_topics() if topic.startswith(prefix)])
        finally:
            await client.close()

    try:
        asyncio.run(delete())
    except (KafkaError, OSError) as error:
        raise CommandError(f"the topics {prefix}* were not deleted at {kafka}: {error}") from None
