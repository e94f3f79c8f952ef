"""Every call of the API, written once: a generator that yields requests and returns the result."""
