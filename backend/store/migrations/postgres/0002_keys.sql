-- Keys to the REST API. Only a digest of the secret is kept, so that a copy of the store opens nothing.

CREATE TABLE api_keys (
    id text COLLATE "C" PRIMARY KEY,
    label text NOT NULL,
    scope text NOT NULL CHECK (scope IN ('read', 'work', 'admin')),
    digest text NOT NULL,
    orchestrator_id text,
    created_at bigint NOT NULL,
    expires_at bigint,
    last_used_at bigint,
    revoked_at bigint
);
