-- Keys to the REST API. Only a digest of the secret is kept, so that a copy of the store opens nothing.

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    label TEXT NOT NULL,
    scope TEXT NOT NULL CHECK (scope IN ('read', 'work', 'admin')),
    digest TEXT NOT NULL,
    orchestrator_id TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER,
    revoked_at INTEGER
) STRICT;
