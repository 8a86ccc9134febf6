"""Commands that come over Kafka: the API's calls, for backends that already speak nothing else (design §5)."""
