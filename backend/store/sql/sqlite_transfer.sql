-- name: count_state
-- How much there is of what an import brings; a store that has none of it is empty.
SELECT (SELECT count(*) FROM tasks) + (SELECT count(*) FROM projects) + (SELECT count(*) FROM drafts)

-- name: page_tasks
-- Tasks in the order in which they were made.
SELECT tasks.*,
    (SELECT group_concat(blocker_id, ' ') FROM (
        SELECT blocker_id FROM task_dependencies WHERE task_id = tasks.id ORDER BY blocker_id)) AS blocked_by
FROM tasks WHERE seq > :after ORDER BY seq LIMIT :limit

-- name: page_runs
-- Runs in order of their start.
SELECT * FROM runs WHERE seq > :after ORDER BY seq LIMIT :limit

-- name: page_evidence
-- Checks in the order in which they were noted.
SELECT * FROM evidence WHERE seq > :after ORDER BY seq LIMIT :limit

-- name: page_messages
-- Messages in the order in which they were written.
SELECT * FROM messages WHERE seq > :after ORDER BY seq LIMIT :limit

-- name: be_patient
-- One long change, and nobody waits for it.
SELECT 1
