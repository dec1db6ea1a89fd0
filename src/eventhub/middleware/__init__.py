"""Middleware: functions from a handler to a handler."""
