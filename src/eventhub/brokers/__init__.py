"""Where records live: the ports, and an adapter for each kind of broker."""
