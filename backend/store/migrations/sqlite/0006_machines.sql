-- What is known of a machine beyond its name, and whether it alone takes nothing new.

ALTER TABLE orchestrators ADD COLUMN repo_url TEXT;
ALTER TABLE orchestrators ADD COLUMN instance TEXT;
ALTER TABLE orchestrators ADD COLUMN offline_at INTEGER;

CREATE TABLE machine_pauses (
    orchestrator_id TEXT PRIMARY KEY REFERENCES orchestrators (id),
    by TEXT NOT NULL,
    reason TEXT,
    at INTEGER NOT NULL,
    until INTEGER
) STRICT, WITHOUT ROWID;
