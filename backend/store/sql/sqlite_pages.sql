-- name: page_begin
-- A page of tasks in claim order: a `page_of_queue` with its filters for each state, merged.
SELECT tasks.*,
       (SELECT group_concat(blocker_id, ' ') FROM task_dependencies WHERE task_id = tasks.id) AS blocked_by
FROM tasks WHERE seq IN (SELECT seq FROM (

-- name: page_of_queue
-- What one state gives to the page: walks tasks_by_queue in order, and stops.
SELECT * FROM (SELECT seq, priority, rejection_count FROM tasks WHERE queue = '{queue}'

-- name: page_after
-- Only what comes after a place. The first line says the same less exactly, and in a way that uses the index.
AND priority >= :priority
AND (priority, rejection_count = 0, seq) > (:priority, :fresh, (SELECT seq FROM tasks WHERE id = :after_id))

-- name: page_of_queue_end
-- No more of one state than the page could need.
ORDER BY priority, rejection_count = 0, seq LIMIT :reach)

-- name: page_end
-- The best of what the states gave.
) ORDER BY priority, rejection_count = 0, seq LIMIT :limit OFFSET :offset)
ORDER BY priority, rejection_count = 0, seq

-- name: count_tasks
-- How many tasks there are; `filter_*` blocks are appended.
SELECT count(*) FROM tasks WHERE TRUE
