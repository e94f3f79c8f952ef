-- name: begin_write
-- A transaction that may write; what it reads to change, it locks.
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE

-- name: begin_read
-- A transaction that sees one state of the store throughout.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY

-- name: lock_log
-- Wait until whoever is writing to the log has committed or given up.
SELECT last_seq FROM log_head FOR UPDATE

-- name: find_event
-- Whether the log holds an event exactly as it was to be written: how the fate of a change is found out when the
-- answer to its COMMIT was lost.
SELECT EXISTS (
    SELECT 1 FROM events
    WHERE entity_id = %(entity_id)s AND at = %(at)s AND actor = %(actor)s AND entity = %(entity)s
        AND kind = %(kind)s AND from_state IS NOT DISTINCT FROM %(from_state)s::text
        AND to_state IS NOT DISTINCT FROM %(to_state)s::text AND version IS NOT DISTINCT FROM %(version)s::bigint
        AND reason IS NOT DISTINCT FROM %(reason)s::text AND data = %(data)s)

-- name: lock_task
-- Appended to a read of a task that is about to be changed: whoever else wants to waits until this is over.
FOR NO KEY UPDATE OF tasks

-- name: lock_run
-- The same for a run.
FOR NO KEY UPDATE OF runs

-- name: lock_dependencies
-- One at a time may add dependencies: two that are fine one by one can be a circle together. Nobody waits here,
-- with a task locked that the one before may want.
SELECT pg_try_advisory_xact_lock(hashtext('octopoid dependencies'))

-- name: lock_migrations
-- One at a time may change the schema.
SELECT pg_advisory_xact_lock(hashtext('octopoid migrations'))

-- name: patience_of_migrations
-- A change of the schema, or waiting for the one that makes it, may take longer than a change of a task.
SELECT set_config('statement_timeout', '10min', true), set_config('lock_timeout', '2min', true)

-- name: settings
-- No session waits, works or idles in a transaction for ever, and what is committed is on the disk. A statement is
-- planned once: all are short, go through an index whatever their values, and cost more to plan than to run.
SELECT set_config('statement_timeout', '5s', false), set_config('lock_timeout', '2s', false),
    set_config('idle_in_transaction_session_timeout', '10s', false),
    set_config('plan_cache_mode', 'force_generic_plan', false), set_config('jit', 'off', false),
    set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
        ELSE current_setting('synchronous_commit') END, false)

-- name: listen
-- Be told when the log has grown.
LISTEN octopoid

-- name: read_time
-- The database's time in milliseconds since the epoch: the one clock that all replicas share.
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint
