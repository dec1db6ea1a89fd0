"""Run the inventory service as a process of its own: ``python -m examples.inventory_service``."""

from eventhub import run
from examples.inventory_service.service import service

if __name__ == "__main__":
    run(service)
