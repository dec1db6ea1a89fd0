"""Where schemas live: the port, a client for any Confluent-compatible server, and a server of our own."""
