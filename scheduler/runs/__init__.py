"""One run of an agent: its directory, its supervisor, and how a later scheduler takes it over."""
