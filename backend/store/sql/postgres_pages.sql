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
