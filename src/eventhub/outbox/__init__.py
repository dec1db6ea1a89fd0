"""Inbox and outbox: what a transaction has seen and has to say, and the relay that says it."""
