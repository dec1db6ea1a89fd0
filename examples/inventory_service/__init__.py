"""The inventory service: keeps stock, and sets it aside for orders."""
