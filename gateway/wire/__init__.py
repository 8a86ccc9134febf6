"""The protocols that turn bytes into messages and messages into bytes."""
