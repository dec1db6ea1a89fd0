"""What eventhub offers with other packages; each needs its extra, and nobody in eventhub imports it."""
