"""The embedded default: a real PostgreSQL and a real Kafka-protocol broker from package wheels, on loopback only."""
