-- Answers that are given again by themselves, what everybody should know for a while, and what a day costs.

CREATE TABLE rules (
    id text COLLATE "C" PRIMARY KEY,
    scope text NOT NULL CHECK (scope IN ('task', 'agent', 'role', 'project')),
    scope_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('question', 'permission')),
    pattern text NOT NULL,
    exact boolean NOT NULL,
    answer text NOT NULL,
    author text NOT NULL,
    message_id text COLLATE "C" NOT NULL REFERENCES messages (id),
    created_at bigint NOT NULL,
    expires_at bigint,
    uses bigint NOT NULL DEFAULT 0,
    last_used_at bigint,
    revoked_at bigint
);
CREATE INDEX rules_in_force ON rules (kind) WHERE revoked_at IS NULL;

CREATE TABLE alerts (
    key text COLLATE "C" PRIMARY KEY,
    reason text NOT NULL,
    at bigint NOT NULL,
    until bigint
);

CREATE INDEX runs_by_start ON runs (started_at);
