-- Answers that are given again by themselves, what everybody should know for a while, and what a day costs.

CREATE TABLE rules (
    id TEXT PRIMARY KEY,
    scope TEXT NOT NULL CHECK (scope IN ('task', 'agent', 'role', 'project')),
    scope_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('question', 'permission')),
    pattern TEXT NOT NULL,
    exact INTEGER NOT NULL CHECK (exact IN (0, 1)),
    answer TEXT NOT NULL,
    author TEXT NOT NULL,
    message_id TEXT NOT NULL REFERENCES messages (id),
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    uses INTEGER NOT NULL DEFAULT 0,
    last_used_at INTEGER,
    revoked_at INTEGER
) STRICT;
CREATE INDEX rules_in_force ON rules (kind) WHERE revoked_at IS NULL;

CREATE TABLE alerts (
    key TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL,
    until INTEGER
) STRICT;

CREATE INDEX runs_by_start ON runs (started_at);
