-- name: insert_session
-- A session that was not known before.
INSERT INTO sessions (
    id, session_id, orchestrator_id, agent_name, task_id, run_id, created_at, opened_at, last_activity_at)
VALUES (%(id)s, %(session_id)s, %(orchestrator_id)s, %(agent_name)s, %(task_id)s, %(run_id)s, %(now)s, %(now)s, %(now)s)

-- name: read_session
-- One session, by our id or by the agent program's.
SELECT sessions.*, EXISTS (
    SELECT 1 FROM messages WHERE messages.run_id = sessions.run_id AND type = 'request'
        AND answered_at IS NULL AND withdrawn_at IS NULL) AS waiting
FROM sessions WHERE id = %(id)s OR session_id = %(id)s ORDER BY (id = %(id)s) DESC LIMIT 1

-- name: list_sessions
-- Every session, oldest first.
SELECT sessions.*, EXISTS (
    SELECT 1 FROM messages WHERE messages.run_id = sessions.run_id AND type = 'request'
        AND answered_at IS NULL AND withdrawn_at IS NULL) AS waiting
FROM sessions ORDER BY seq

-- name: list_live_sessions
-- Every session that has not ended.
SELECT sessions.*, EXISTS (
    SELECT 1 FROM messages WHERE messages.run_id = sessions.run_id AND type = 'request'
        AND answered_at IS NULL AND withdrawn_at IS NULL) AS waiting
FROM sessions WHERE terminated_at IS NULL ORDER BY seq

-- name: list_task_sessions
-- The sessions of one task.
SELECT sessions.*, EXISTS (
    SELECT 1 FROM messages WHERE messages.run_id = sessions.run_id AND type = 'request'
        AND answered_at IS NULL AND withdrawn_at IS NULL) AS waiting
FROM sessions WHERE task_id = %(task_id)s ORDER BY seq

-- name: list_live_task_sessions
-- The sessions of one task that have not ended.
SELECT sessions.*, EXISTS (
    SELECT 1 FROM messages WHERE messages.run_id = sessions.run_id AND type = 'request'
        AND answered_at IS NULL AND withdrawn_at IS NULL) AS waiting
FROM sessions WHERE task_id = %(task_id)s AND terminated_at IS NULL ORDER BY seq

-- name: last_session_of_run
-- The newest session of a run.
SELECT id FROM sessions WHERE run_id = %(run_id)s ORDER BY seq DESC LIMIT 1

-- name: list_over
-- Open sessions that are over by one of the two times, unless only the first and they wait for an answer.
SELECT sessions.*, EXISTS (
    SELECT 1 FROM messages WHERE messages.run_id = sessions.run_id AND type = 'request'
        AND answered_at IS NULL AND withdrawn_at IS NULL) AS waiting
FROM sessions
WHERE terminated_at IS NULL AND (
    opened_at < %(opened_before)s
    OR (last_activity_at < %(active_before)s AND NOT EXISTS (
        SELECT 1 FROM messages WHERE messages.run_id = sessions.run_id AND type = 'request'
            AND answered_at IS NULL AND withdrawn_at IS NULL)))
ORDER BY seq

-- name: touch_session
-- A sign of life of an open session.
UPDATE sessions SET last_activity_at = %(now)s WHERE id = %(id)s AND terminated_at IS NULL

-- name: touch_run_sessions
-- A sign of life of the open sessions of a run.
UPDATE sessions SET last_activity_at = %(now)s WHERE run_id = %(run_id)s AND terminated_at IS NULL

-- name: bind_session
-- What a session works on, and who drives it.
UPDATE sessions SET agent_name = %(agent_name)s, task_id = %(task_id)s, run_id = %(run_id)s, last_activity_at = %(now)s
WHERE id = %(id)s

-- name: end_session
-- An open session ends, if nothing was heard of it since it was looked at.
UPDATE sessions SET terminated_at = %(now)s, reason = %(reason)s
WHERE id = %(id)s AND terminated_at IS NULL AND last_activity_at <= %(seen)s

-- name: reopen_session
-- A session that has ended goes on.
UPDATE sessions SET terminated_at = NULL, reason = NULL, opened_at = %(now)s, last_activity_at = %(now)s
WHERE id = %(id)s AND terminated_at IS NOT NULL
