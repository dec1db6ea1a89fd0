"""Run the notification service as a process of its own: ``python -m examples.notification_service``."""

from eventhub import run
from examples.notification_service.service import service

if __name__ == "__main__":
    run(service)
