-- name: count_state
-- How much there is of what an import brings; a store that has none of it is empty.
SELECT (SELECT count(*) FROM tasks) + (SELECT count(*) FROM projects) + (SELECT count(*) FROM drafts)

-- name: page_tasks
-- Tasks in the order in which they were made.
SELECT tasks.*, (
    SELECT string_agg(blocker_id, ' ' ORDER BY blocker_id) FROM task_dependencies WHERE task_id = tasks.id
    ) AS blocked_by
FROM tasks WHERE seq > %(after)s ORDER BY seq LIMIT %(limit)s

-- name: page_runs
-- Runs in order of their start.
SELECT * FROM runs WHERE seq > %(after)s ORDER BY seq LIMIT %(limit)s

-- name: page_evidence
-- Checks in the order in which they were noted.
SELECT * FROM evidence WHERE seq > %(after)s ORDER BY seq LIMIT %(limit)s

-- name: page_messages
-- Messages in the order in which they were written.
SELECT * FROM messages WHERE seq > %(after)s ORDER BY seq LIMIT %(limit)s

-- name: be_patient
-- One long change, and nobody waits for it.
SELECT set_config('statement_timeout', '10min', true)
