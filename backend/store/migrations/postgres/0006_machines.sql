-- What is known of a machine beyond its name, and whether it alone takes nothing new.

ALTER TABLE orchestrators ADD COLUMN repo_url text;
ALTER TABLE orchestrators ADD COLUMN instance text;
ALTER TABLE orchestrators ADD COLUMN offline_at bigint;

CREATE TABLE machine_pauses (
    orchestrator_id text COLLATE "C" PRIMARY KEY REFERENCES orchestrators (id),
    by text NOT NULL,
    reason text,
    at bigint NOT NULL,
    until bigint
);
