-- Conversations of agent programs, by the programs' own ids, so that one can be taken up again. Ended ones stay:
-- an answer that comes late opens its session again.

CREATE TABLE sessions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL UNIQUE,
    orchestrator_id TEXT NOT NULL REFERENCES orchestrators (id),
    agent_name TEXT NOT NULL,
    task_id TEXT REFERENCES tasks (id),
    run_id TEXT REFERENCES runs (id),
    created_at INTEGER NOT NULL,
    opened_at INTEGER NOT NULL,
    last_activity_at INTEGER NOT NULL,
    terminated_at INTEGER,
    reason TEXT,
    CONSTRAINT end_has_reason CHECK (
        (terminated_at IS NULL) = (reason IS NULL) AND (reason IS NULL OR trim(reason) <> '')),
    CONSTRAINT run_has_task CHECK (run_id IS NULL OR task_id IS NOT NULL)
) STRICT;
CREATE INDEX sessions_open ON sessions (last_activity_at) WHERE terminated_at IS NULL;
CREATE INDEX sessions_by_task ON sessions (task_id, seq) WHERE task_id IS NOT NULL;
CREATE INDEX sessions_by_run ON sessions (run_id, seq) WHERE run_id IS NOT NULL;

-- What was said, in the order of the log: a small part of it that a claim does not touch.
CREATE INDEX events_of_messages ON events (seq) WHERE entity = 'message';
