"""Topics of ours on a Kafka that is somebody else's."""

import asyncio

from homing.cluster.trouble import CommandError


def forget_topics(kafka: str, prefix: str) -> None:
    """Leave nothing on somebody else's broker. Trouble: it could not be done."""
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    async def forget() -> None:
        client = AIOKafkaAdminClient(bootstrap_servers=kafka.split(","))
        try:
            await client.start()
            await client.delete_topics([topic for topic in await client.list_topics() if topic.startswith(prefix)])
        finally:
            await client.close()

    try:
        asyncio.run(forget())
    except (KafkaError, OSError) as error:
        raise CommandError(f"the topics {prefix}* were not deleted at {kafka}: {error}") from None
