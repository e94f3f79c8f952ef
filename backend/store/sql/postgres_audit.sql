-- name: version_without_event
-- A task's version is not the number of its events: a change was not logged, or logged twice.
SELECT id, version FROM tasks
WHERE version <> (SELECT count(*) FROM events WHERE entity = 'task' AND entity_id = tasks.id)

-- name: broken_chain
-- An event of a task does not follow on the one before it.
SELECT seq, entity_id FROM (
    SELECT seq, entity_id, version, from_state,
        lag(version, 1, 0::bigint) OVER task AS version_before, lag(to_state) OVER task AS state_before
    FROM events WHERE entity = 'task' WINDOW task AS (PARTITION BY entity_id ORDER BY seq))
WHERE version <> version_before + 1 OR from_state IS DISTINCT FROM state_before

-- name: wrong_state
-- A task is not in the state its last event says.
SELECT id, queue FROM tasks
WHERE queue <> (
    SELECT to_state FROM events WHERE entity = 'task' AND entity_id = tasks.id ORDER BY seq DESC LIMIT 1)

-- name: done_left
-- A task left done without force.
SELECT seq, entity_id, kind FROM events
WHERE entity = 'task' AND from_state = 'done' AND to_state <> 'done' AND kind <> 'forced'

-- name: hole_in_log
-- The log has a hole.
SELECT count(*) AS events, max(seq) AS last FROM events HAVING count(*) <> max(seq)

-- name: wrong_open_blockers
-- The counter of unfinished blockers is not their number.
SELECT id, open_blockers FROM tasks
WHERE open_blockers <> (
    SELECT count(*) FROM task_dependencies JOIN tasks AS blocker ON blocker.id = blocker_id
    WHERE task_id = tasks.id AND blocker.queue <> 'done')

-- name: wrong_queue_count
-- A maintained count of a state is not the number of its tasks.
SELECT queue, tasks FROM queue_counts
WHERE tasks <> (SELECT count(*) FROM tasks WHERE tasks.queue = queue_counts.queue)

-- name: holder_without_run
-- A lease is held by a run that does not exist, or was given another fence.
SELECT id, run_id, fence FROM tasks
WHERE run_id IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM runs WHERE runs.id = tasks.run_id AND task_id = tasks.id AND runs.fence = tasks.fence)

-- name: attempt_without_run
-- A task's attempts are not the number of its runs.
SELECT id, attempt_count FROM tasks
WHERE attempt_count <> (SELECT count(*) FROM runs WHERE task_id = tasks.id)

-- name: fence_went_back
-- A later attempt has no larger fence, or a larger one than its task.
SELECT id, task_id, fence FROM (
    SELECT runs.*, lag(runs.fence, 1, 0::bigint) OVER (PARTITION BY task_id ORDER BY attempt) AS fence_before,
        (SELECT fence FROM tasks WHERE tasks.id = task_id) AS fence_now
    FROM runs)
WHERE fence <= fence_before OR fence > fence_now
