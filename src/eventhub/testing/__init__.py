"""What tests of services on eventhub use."""
