"""Claude Code, driven by its stream-json output and its control protocol on standard input."""
