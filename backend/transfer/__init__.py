"""The whole state as one file, out and in."""
