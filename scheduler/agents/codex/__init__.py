"""OpenAI Codex, driven by its app server: JSON-RPC, one message a line, on standard input and output."""
