"""Where the state is kept: the Store protocol and what speaks it."""
