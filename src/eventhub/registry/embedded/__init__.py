"""A Schema Registry of Confluent's kind: a store, an ASGI application, and a small server."""
