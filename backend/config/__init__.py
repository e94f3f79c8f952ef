"""Configuration: one schema, read strictly, reported with file and line."""
