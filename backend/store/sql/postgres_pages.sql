-- name: page_begin
-- A page of tasks in claim order: a `page_of_queue` with its filters for each state, merged.
SELECT tasks.*,
       (SELECT string_agg(blocker_id, ' ' ORDER BY blocker_id) FROM task_dependencies WHERE task_id =
       tasks.id) AS blocked_by
FROM tasks WHERE seq = ANY(ARRAY(SELECT seq FROM (

-- name: page_of_queue
-- What one state gives to the page: walks tasks_by_queue in order, and stops.
SELECT * FROM (SELECT seq, priority, rejection_count FROM tasks WHERE queue = '{queue}'

-- name: page_after
-- Only what comes after a place.
AND (priority, (rejection_count = 0), seq)
    > (%(priority)s, %(fresh)s::int::boolean, (SELECT seq FROM tasks WHERE id = %(after_id)s))

-- name: page_of_queue_end
-- No more of one state than the page could need.
ORDER BY priority, (rejection_count = 0), seq LIMIT %(reach)s) AS one_state

-- name: page_end
-- The best of what the states gave.
) AS states ORDER BY priority, (rejection_count = 0), seq LIMIT %(limit)s OFFSET %(offset)s))
ORDER BY priority, (rejection_count = 0), seq

-- name: count_tasks
-- How many tasks there are; `filter_*` blocks are appended.
SELECT count(*) FROM tasks WHERE TRUE

-- name: page_of_runs
-- A page of runs in order of their start: `only_*` blocks and `page_rows_end` are appended.
SELECT * FROM runs WHERE seq > %(after)s

-- name: page_of_sessions
-- A page of sessions in order of their beginning.
SELECT sessions.*, EXISTS (
    SELECT 1 FROM messages WHERE messages.run_id = sessions.run_id AND type = 'request'
        AND answered_at IS NULL AND withdrawn_at IS NULL) AS waiting
FROM sessions WHERE seq > %(after)s

-- name: page_of_messages
-- A page of messages in the order in which they were written.
SELECT * FROM messages WHERE seq > %(after)s

-- name: page_of_evidence
-- A page of what checks said about tasks that are neither done nor cancelled, in the order in which it came.
SELECT * FROM evidence WHERE seq > %(after)s
AND EXISTS (SELECT 1 FROM tasks WHERE tasks.id = evidence.task_id AND queue NOT IN ('done', 'cancelled'))

-- name: only_task
-- Only what belongs to one task.
AND task_id = %(task_id)s

-- name: only_machine
-- Only what belongs to one machine.
AND orchestrator_id = %(orchestrator_id)s

-- name: only_conversation
-- Only messages of one task.
AND conversation_id = %(conversation_id)s

-- name: only_of_unfinished
-- Only messages of tasks that are neither done nor cancelled.
AND EXISTS (
    SELECT 1 FROM tasks WHERE tasks.id = messages.conversation_id AND queue NOT IN ('done', 'cancelled'))

-- name: only_live_runs
-- Only runs that have not ended.
AND status <> 'ended'

-- name: only_open_sessions
-- Only sessions that have not ended.
AND terminated_at IS NULL

-- name: only_open_messages
-- Only requests that nobody has answered.
AND type = 'request' AND answered_at IS NULL AND withdrawn_at IS NULL

-- name: only_undelivered
-- Only answers that have not reached one of these runs.
AND run_id = ANY(ARRAY(SELECT jsonb_array_elements_text(%(run_ids)s::jsonb)))
AND answered_at IS NOT NULL AND delivered_at IS NULL

-- name: page_rows_end
-- No more than the page holds.
ORDER BY seq LIMIT %(limit)s

-- name: place_of_runs
-- Where a run is among all of them.
SELECT seq FROM runs WHERE id = %(id)s

-- name: place_of_sessions
-- Where a session is among all of them.
SELECT seq FROM sessions WHERE id = %(id)s

-- name: place_of_messages
-- Where a message is among all of them.
SELECT seq FROM messages WHERE id = %(id)s

-- name: place_of_evidence
-- Where a check's result is among all of them.
SELECT seq FROM evidence WHERE id = %(id)s
