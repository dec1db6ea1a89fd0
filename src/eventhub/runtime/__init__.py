"""One record's life: polled, decoded, handled, published, completed, committed."""
