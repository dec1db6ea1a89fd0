"""Run the order service as a process of its own: ``python -m examples.order_service``."""

from eventhub import run
from examples.order_service.service import service

if __name__ == "__main__":
    run(service)
