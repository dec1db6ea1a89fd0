"""Between events and bytes: one codec a format, and the frame that names the schema."""
