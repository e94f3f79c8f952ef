"""An agent of our own over the Anthropic API: a program with tools that stay in its worktree."""
