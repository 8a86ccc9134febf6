"""Commands over Kafka: the API's calls, for backends that only use Kafka (docs/records.md, "The commands topic")."""
