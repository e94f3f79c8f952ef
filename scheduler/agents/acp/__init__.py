"""Programs that speak the Agent Client Protocol: Gemini CLI, opencode, Claude's ACP adapter, and others."""
