"""The order service: takes orders, and says what became of them."""
