-- name: read_task
-- One task with the ids of its blockers.
SELECT tasks.*,
       (SELECT string_agg(blocker_id, ' ' ORDER BY blocker_id) FROM task_dependencies WHERE task_id =
       tasks.id) AS blocked_by
FROM tasks WHERE id = %(id)s

-- name: list_tasks
-- Tasks in claim order; `filter_*` blocks and `in_claim_order` are appended.
SELECT tasks.*,
       (SELECT string_agg(blocker_id, ' ' ORDER BY blocker_id) FROM task_dependencies WHERE task_id =
       tasks.id) AS blocked_by
FROM tasks WHERE TRUE

-- name: filter_queue
-- One state: walks tasks_by_queue in order, without a sort.
AND queue = %(queue)s

-- name: filter_queues
-- Any of several states.
AND queue = ANY(ARRAY(SELECT jsonb_array_elements_text(%(queues)s::jsonb)))

-- name: filter_priorities
-- Any of several priorities.
AND priority = ANY(ARRAY(SELECT jsonb_array_elements_text(%(priorities)s::jsonb)))

-- name: filter_roles
-- Any of several roles.
AND role = ANY(ARRAY(SELECT jsonb_array_elements_text(%(roles)s::jsonb)))

-- name: filter_types
-- Any of several types.
AND type = ANY(ARRAY(SELECT jsonb_array_elements_text(%(types)s::jsonb)))

-- name: filter_claimed_by
-- Held by one agent.
AND claimed_by = %(claimed_by)s

-- name: filter_project
-- One project.
AND project_id = %(project)s

-- name: filter_scope
-- One namespace.
AND scope = %(scope)s

-- name: filter_text
-- Words somewhere in id, title or body.
AND (id ILIKE %(text)s ESCAPE '\' OR title ILIKE %(text)s ESCAPE '\' OR body ILIKE %(text)s ESCAPE '\')

-- name: in_claim_order
-- Priority, then what was rejected before, then the oldest; at most %(limit)s (-1 for all).
ORDER BY priority, rejection_count = 0, seq LIMIT nullif(%(limit)s, -1)

-- name: count_queues
-- Tasks by state, from the counts that follow the log.
SELECT queue, tasks FROM queue_counts ORDER BY queue

-- name: count_waiting
-- Tasks that wait to be claimed, by priority.
SELECT priority, count(*) FROM tasks WHERE queue = 'incoming' GROUP BY priority ORDER BY priority

-- name: insert_task
-- A new task.
INSERT INTO tasks (
    id, title, body, queue, priority, role, type, complexity, project_id, file_path, repo_url,
    base_branch, base_sha, needs, auto_accept, open_blockers, reason,
    created_by, created_at, updated_at, metadata, created_as, scope)
VALUES (
    %(id)s, %(title)s, %(body)s, %(queue)s, %(priority)s, %(role)s, %(type)s, %(complexity)s,
    %(project_id)s, %(file_path)s, %(repo_url)s,
    %(base_branch)s, %(base_sha)s, %(needs)s, %(auto_accept)s::int::boolean, %(open_blockers)s, %(reason)s,
    %(created_by)s, %(now)s, %(now)s, %(metadata)s, %(created_as)s, %(scope)s)

-- name: read_created_as
-- The digest of what a task was created from.
SELECT created_as FROM tasks WHERE id = %(id)s

-- name: find_file
-- The task that has a file path.
SELECT id FROM tasks WHERE file_path = %(file_path)s

-- name: save_state
-- Everything a transition may change, if nobody has changed the task since it was read.
UPDATE tasks SET
    queue = %(queue)s, open_blockers = %(open_blockers)s,
    claimed_by = %(claimed_by)s, claimed_at = %(claimed_at)s, orchestrator_id = %(orchestrator_id)s,
    run_id = %(run_id)s, fence = %(fence)s, lease_expires_at = %(lease_expires_at)s,
    attempt_count = %(attempt_count)s, attempts_forgiven = %(attempts_forgiven)s,
    rejection_count = %(rejection_count)s, continuation_count = %(continuation_count)s,
    conflict_count = %(conflict_count)s, head_sha = %(head_sha)s, resume_run_id = %(resume_run_id)s,
    approved_by = %(approved_by)s, approved_at = %(approved_at)s, approved_sha = %(approved_sha)s,
    reason = %(reason)s, merged_sha = %(merged_sha)s, submitted_at = %(submitted_at)s,
    completed_at = %(completed_at)s, version = %(version)s, updated_at = %(updated_at)s
WHERE id = %(id)s AND version = %(version)s - 1

-- name: save_content
-- Everything a person may edit, and the state that follows from the dependencies.
UPDATE tasks SET
    title = %(title)s, body = %(body)s, priority = %(priority)s, role = %(role)s, type = %(type)s,
    complexity = %(complexity)s, project_id = %(project_id)s, auto_accept = %(auto_accept)s::int::boolean,
    needs = %(needs)s,
    pr_url = %(pr_url)s, metadata = %(metadata)s, queue = %(queue)s, open_blockers = %(open_blockers)s,
    reason = %(reason)s, version = %(version)s, updated_at = %(updated_at)s
WHERE id = %(id)s AND version = %(version)s - 1

-- name: set_open_blockers
-- The counter alone, of a task whose state does not depend on it now.
UPDATE tasks SET open_blockers = %(open_blockers)s WHERE id = %(id)s

-- name: claim_next
-- Claim the first claimable task that nobody else is just claiming: one statement, through tasks_by_queue. It
-- claims nothing for a machine that is not known or a run that exists.
WITH head AS (
    SELECT seq FROM tasks
    WHERE queue = 'incoming' AND attempt_count - attempts_forgiven < %(attempts)s
        AND (%(scope)s::text IS NULL OR scope = %(scope)s)
        AND EXISTS (SELECT 1 FROM orchestrators WHERE id = %(orchestrator_id)s)
        AND NOT EXISTS (SELECT 1 FROM runs WHERE id = %(run_id)s)
    ORDER BY priority, (rejection_count = 0), seq LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
UPDATE tasks SET
    queue = 'claimed', claimed_by = %(agent_name)s, claimed_at = %(now)s,
    orchestrator_id = %(orchestrator_id)s, run_id = %(run_id)s, fence = fence + 1,
    lease_expires_at = %(expires)s, attempt_count = attempt_count + 1,
    approved_by = NULL, approved_at = NULL, approved_sha = NULL, reason = NULL, submitted_at = NULL,
    merged_sha = NULL, completed_at = NULL, version = version + 1, updated_at = %(now)s
FROM head WHERE tasks.seq = head.seq
RETURNING tasks.*, (
    SELECT string_agg(blocker_id, ' ' ORDER BY blocker_id)
    FROM task_dependencies WHERE task_id = tasks.id) AS blocked_by

-- name: claim_next_of_roles
-- The same for some roles: the first of each role through tasks_ready_by_role, then the best of these. More than
-- one of each, since others may be claiming the first ones; they are locked only once chosen. Their places are an
-- array, which is read through the primary key: joined, a rare role would cost a walk past everything better.
WITH head AS (
    SELECT seq FROM tasks
    WHERE seq = ANY(ARRAY(
            SELECT ready.seq
            FROM jsonb_array_elements_text(%(roles)s::jsonb) AS wanted (role) CROSS JOIN LATERAL (
                SELECT seq FROM tasks
                WHERE queue = 'incoming' AND role = wanted.role
                    AND attempt_count - attempts_forgiven < %(attempts)s
                    AND (%(scope)s::text IS NULL OR scope = %(scope)s)
                ORDER BY priority, (rejection_count = 0), seq LIMIT 32) AS ready))
        AND queue = 'incoming'
        AND role = ANY(ARRAY(SELECT jsonb_array_elements_text(%(roles)s::jsonb)))
        AND attempt_count - attempts_forgiven < %(attempts)s
        AND (%(scope)s::text IS NULL OR scope = %(scope)s)
        AND EXISTS (SELECT 1 FROM orchestrators WHERE id = %(orchestrator_id)s)
        AND NOT EXISTS (SELECT 1 FROM runs WHERE id = %(run_id)s)
    ORDER BY priority, (rejection_count = 0), seq LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
UPDATE tasks SET
    queue = 'claimed', claimed_by = %(agent_name)s, claimed_at = %(now)s,
    orchestrator_id = %(orchestrator_id)s, run_id = %(run_id)s, fence = fence + 1,
    lease_expires_at = %(expires)s, attempt_count = attempt_count + 1,
    approved_by = NULL, approved_at = NULL, approved_sha = NULL, reason = NULL, submitted_at = NULL,
    merged_sha = NULL, completed_at = NULL, version = version + 1, updated_at = %(now)s
FROM head WHERE tasks.seq = head.seq
RETURNING tasks.*, (
    SELECT string_agg(blocker_id, ' ' ORDER BY blocker_id)
    FROM task_dependencies WHERE task_id = tasks.id) AS blocked_by

-- name: claim_task
-- The same for one task named by its id; it waits for whoever is changing that task.
UPDATE tasks SET
    queue = 'claimed', claimed_by = %(agent_name)s, claimed_at = %(now)s,
    orchestrator_id = %(orchestrator_id)s, run_id = %(run_id)s, fence = fence + 1,
    lease_expires_at = %(expires)s, attempt_count = attempt_count + 1,
    approved_by = NULL, approved_at = NULL, approved_sha = NULL, reason = NULL, submitted_at = NULL,
    merged_sha = NULL, completed_at = NULL, version = version + 1, updated_at = %(now)s
WHERE id = %(task_id)s AND queue = 'incoming' AND attempt_count - attempts_forgiven < %(attempts)s
    AND (%(scope)s::text IS NULL OR scope = %(scope)s)
    AND (%(roles)s = '[]' OR role = ANY(ARRAY(SELECT jsonb_array_elements_text(%(roles)s::jsonb))))
    AND EXISTS (SELECT 1 FROM orchestrators WHERE id = %(orchestrator_id)s)
    AND NOT EXISTS (SELECT 1 FROM runs WHERE id = %(run_id)s)
RETURNING tasks.*, (
    SELECT string_agg(blocker_id, ' ' ORDER BY blocker_id)
    FROM task_dependencies WHERE task_id = tasks.id) AS blocked_by

-- name: renew_lease
-- Extend a lease that is still held: the fence decides, not the clock.
UPDATE tasks SET lease_expires_at = %(expires)s
WHERE id = %(id)s AND fence = %(fence)s AND orchestrator_id = %(orchestrator_id)s AND run_id IS NOT NULL

-- name: list_expired
-- Tasks whose lease has run out, the longest over first; without those that somebody is just changing.
SELECT id FROM tasks WHERE lease_expires_at <= %(now)s ORDER BY lease_expires_at FOR NO KEY UPDATE SKIP LOCKED

-- name: list_dependents
-- The tasks that wait for one. The lock waits for whoever is taking a dependency away.
SELECT task_id FROM task_dependencies WHERE blocker_id = %(id)s ORDER BY task_id FOR UPDATE

-- name: list_blockers
-- What a task waits for, with its state.
SELECT tasks.id, tasks.queue, tasks.reason
FROM task_dependencies JOIN tasks ON tasks.id = task_dependencies.blocker_id
WHERE task_dependencies.task_id = %(id)s ORDER BY tasks.id

-- name: find_cycle
-- A wanted blocker that waits, directly or through others, for the task itself.
WITH RECURSIVE waits(start, id) AS (
    SELECT wanted COLLATE "C", wanted COLLATE "C" FROM jsonb_array_elements_text(%(blockers)s::jsonb) AS wanted
    UNION
    SELECT waits.start, blocker_id FROM task_dependencies JOIN waits ON task_id = waits.id)
SELECT start FROM waits WHERE id = %(id)s LIMIT 1

-- name: delete_dependencies
-- Forget what a task waits for.
DELETE FROM task_dependencies WHERE task_id = %(id)s

-- name: insert_dependency
-- Make a task wait for another.
INSERT INTO task_dependencies (task_id, blocker_id) VALUES (%(id)s, %(blocker_id)s)

-- name: insert_run
-- The run a claim begins.
INSERT INTO runs (
    id, task_id, attempt, fence, role, agent_name, orchestrator_id, adapter, model, status,
    started_at, last_activity_at)
VALUES (
    %(id)s, %(task_id)s, %(attempt)s, %(fence)s, %(role)s, %(agent_name)s, %(orchestrator_id)s, %(adapter)s,
    %(model)s, 'starting',
    %(now)s, %(now)s)

-- name: read_run
-- One run.
SELECT * FROM runs WHERE id = %(id)s

-- name: find_holder
-- The run that was given a fence.
SELECT id FROM runs WHERE task_id = %(task_id)s AND fence = %(fence)s

-- name: list_runs
-- Every run in order of its start.
SELECT * FROM runs ORDER BY seq

-- name: list_live_runs
-- Every run that has not ended.
SELECT * FROM runs WHERE status <> 'ended' ORDER BY seq

-- name: list_task_runs
-- The runs of one task.
SELECT * FROM runs WHERE task_id = %(task_id)s ORDER BY fence

-- name: list_live_task_runs
-- The runs of one task that have not ended.
SELECT * FROM runs WHERE task_id = %(task_id)s AND status <> 'ended' ORDER BY fence

-- name: save_run
-- What is learned while a run goes on.
UPDATE runs SET
    status = %(status)s, session_id = %(session_id)s, base_sha = %(base_sha)s, branch = %(branch)s, turns =
    %(turns)s,
    tokens_input = %(tokens_input)s, tokens_output = %(tokens_output)s, tokens_cache_read =
    %(tokens_cache_read)s,
    tokens_cache_write = %(tokens_cache_write)s, cost_usd = %(cost_usd)s, last_activity_at =
    %(last_activity_at)s
WHERE id = %(id)s AND status <> 'ended'

-- name: end_run
-- The facts a run ended with; changes nothing when it has ended before.
UPDATE runs SET
    status = 'ended', outcome = %(outcome)s, reason = %(reason)s, head_sha = coalesce(%(head_sha)s, head_sha),
    exit_code = %(exit_code)s, commits_count = %(commits_count)s, summary = %(summary)s, ended_at = %(now)s
WHERE id = %(id)s AND status <> 'ended'

-- name: list_abandoned
-- Live runs of an adapter whose task's fence has moved on.
SELECT runs.id, runs.task_id FROM runs JOIN tasks ON tasks.id = runs.task_id
WHERE runs.status <> 'ended' AND runs.adapter = %(adapter)s AND tasks.fence <> runs.fence ORDER BY runs.seq

-- name: sum_cost
-- What the runs started since a time have cost.
SELECT coalesce(sum(cost_usd), 0.0) FROM runs WHERE started_at >= %(since)s AND cost_usd IS NOT NULL

-- name: sum_task_usage
-- What the runs started since a time have used, by task; the dearest first.
SELECT r.task_id AS key, count(*) AS runs, coalesce(sum(r.cost_usd), 0.0) AS cost_usd,
    sum(r.tokens_input)::bigint AS tokens_input, sum(r.tokens_output)::bigint AS tokens_output,
    sum(r.tokens_cache_read)::bigint AS tokens_cache_read, sum(r.tokens_cache_write)::bigint AS tokens_cache_write
FROM runs r WHERE r.started_at >= %(since)s
GROUP BY 1 ORDER BY 3 DESC, 1

-- name: sum_agent_usage
-- What the runs started since a time have used, by agent; the dearest first.
SELECT r.agent_name AS key, count(*) AS runs, coalesce(sum(r.cost_usd), 0.0) AS cost_usd,
    sum(r.tokens_input)::bigint AS tokens_input, sum(r.tokens_output)::bigint AS tokens_output,
    sum(r.tokens_cache_read)::bigint AS tokens_cache_read, sum(r.tokens_cache_write)::bigint AS tokens_cache_write
FROM runs r WHERE r.started_at >= %(since)s
GROUP BY 1 ORDER BY 3 DESC, 1

-- name: sum_project_usage
-- What the runs started since a time have used, by project; the dearest first.
SELECT coalesce(t.project_id, '') AS key, count(*) AS runs, coalesce(sum(r.cost_usd), 0.0) AS cost_usd,
    sum(r.tokens_input)::bigint AS tokens_input, sum(r.tokens_output)::bigint AS tokens_output,
    sum(r.tokens_cache_read)::bigint AS tokens_cache_read, sum(r.tokens_cache_write)::bigint AS tokens_cache_write
FROM runs r JOIN tasks t ON t.id = r.task_id WHERE r.started_at >= %(since)s
GROUP BY 1 ORDER BY 3 DESC, 1

-- name: insert_evidence
-- One check's result.
INSERT INTO evidence (
    id, task_id, run_id, name, command, commit_sha, base_sha, exit_code, output_tail, output_digest,
    duration_ms, at)
VALUES (
    %(id)s, %(task_id)s, %(run_id)s, %(name)s, %(command)s, %(commit_sha)s, %(base_sha)s, %(exit_code)s,
    %(output_tail)s,
    %(output_digest)s, %(duration_ms)s, %(at)s)

-- name: list_evidence
-- The checks of one task, oldest first.
SELECT * FROM evidence WHERE task_id = %(task_id)s ORDER BY seq

-- name: read_evidence
-- One check's result.
SELECT * FROM evidence WHERE id = %(id)s

-- name: insert_message
-- A new message.
INSERT INTO messages (
    id, conversation_id, sender_type, sender_id, type, kind, body, options, parent_message_id, run_id,
    request_id, deadline, default_answer, created_at)
VALUES (
    %(id)s, %(conversation_id)s, %(sender_type)s, %(sender_id)s, %(type)s, %(kind)s, %(body)s, %(options)s,
    %(parent_message_id)s,
    %(run_id)s, %(request_id)s, %(deadline)s, %(default_answer)s, %(now)s)

-- name: read_message
-- One message.
SELECT * FROM messages WHERE id = %(id)s

-- name: find_request
-- The message an agent's request became.
SELECT * FROM messages WHERE run_id = %(run_id)s AND request_id = %(request_id)s

-- name: answer_message
-- The answer to a request that is still open.
UPDATE messages SET answer = %(answer)s, answered_at = %(now)s
WHERE id = %(id)s AND type = 'request' AND answered_at IS NULL AND withdrawn_at IS NULL
RETURNING *

-- name: withdraw_message
-- Close a request that is still open.
UPDATE messages SET withdrawn_at = %(now)s
WHERE id = %(id)s AND type = 'request' AND answered_at IS NULL AND withdrawn_at IS NULL
RETURNING *

-- name: deliver_message
-- The answer has reached its run.
UPDATE messages SET delivered_at = %(now)s WHERE id = %(id)s AND answered_at IS NOT NULL AND delivered_at IS
    NULL
RETURNING *

-- name: list_messages
-- One conversation, oldest first.
SELECT * FROM messages WHERE conversation_id = %(conversation_id)s ORDER BY seq

-- name: list_open_questions
-- Every request nobody has answered, oldest first.
SELECT * FROM messages WHERE type = 'request' AND answered_at IS NULL AND withdrawn_at IS NULL ORDER BY seq

-- name: list_undelivered
-- Answers that have not reached one of these runs.
SELECT * FROM messages
WHERE run_id = ANY(ARRAY(SELECT jsonb_array_elements_text(%(run_ids)s::jsonb))) AND answered_at IS NOT NULL AND
    delivered_at IS NULL
ORDER BY seq

-- name: insert_orchestrator
-- A machine seen for the first time.
INSERT INTO orchestrators (id, cluster, machine_id, pid, repo_url, instance, registered_at, last_heartbeat_at)
VALUES (%(id)s, %(cluster)s, %(machine_id)s, %(pid)s, %(repo_url)s, %(instance)s, %(now)s, %(now)s)

-- name: read_orchestrator
-- One machine.
SELECT * FROM orchestrators WHERE id = %(id)s

-- name: list_orchestrators
-- Every machine.
SELECT * FROM orchestrators ORDER BY id

-- name: save_register
-- A known machine has started again.
UPDATE orchestrators SET
    pid = %(pid)s, last_heartbeat_at = %(now)s, offline_at = NULL,
    repo_url = coalesce(%(repo_url)s, repo_url), instance = coalesce(%(instance)s, instance)
WHERE id = %(id)s

-- name: save_heartbeat
-- A machine is alive; the time of its last cycle stays unless a later one is given.
UPDATE orchestrators SET
    last_heartbeat_at = %(now)s, last_cycle_at = coalesce(%(cycle_at)s, last_cycle_at), offline_at = NULL
WHERE id = %(id)s

-- name: save_offline
-- A machine has gone: once, however often it is noticed.
UPDATE orchestrators SET offline_at = %(now)s WHERE id = %(id)s AND offline_at IS NULL

-- name: list_silent_orchestrators
-- Machines not heard of since a time, which nobody has noticed yet.
SELECT * FROM orchestrators WHERE offline_at IS NULL AND last_heartbeat_at < %(before)s ORDER BY id

-- name: list_agents
-- Every worker slot.
SELECT * FROM agents ORDER BY orchestrator_id, name

-- name: list_machine_agents
-- The worker slots of one machine.
SELECT * FROM agents WHERE orchestrator_id = %(orchestrator_id)s ORDER BY name

-- name: save_agent
-- A worker slot as it is now.
INSERT INTO agents (
    orchestrator_id, name, role, adapter, status, task_id, run_id, pid, reason, updated_at)
VALUES (
    %(orchestrator_id)s, %(name)s, %(role)s, %(adapter)s, %(status)s, %(task_id)s, %(run_id)s, %(pid)s,
    %(reason)s, %(now)s)
ON CONFLICT (orchestrator_id, name) DO UPDATE SET
    role = excluded.role, adapter = excluded.adapter, status = excluded.status, task_id = excluded.task_id,
    run_id = excluded.run_id, pid = excluded.pid, reason = excluded.reason, updated_at = excluded.updated_at

-- name: delete_agent
-- A worker slot that is no longer configured.
DELETE FROM agents WHERE orchestrator_id = %(orchestrator_id)s AND name = %(name)s

-- name: read_intake
-- Whether intake is paused.
SELECT paused, by, reason, at, until FROM intake

-- name: save_intake
-- Pause or resume.
UPDATE intake SET paused = %(paused)s::int::boolean, by = %(by)s, reason = %(reason)s, at = %(at)s, until =
    %(until)s

-- name: read_machine_pause
-- Whether one machine takes nothing new.
SELECT by, reason, at, until FROM machine_pauses WHERE orchestrator_id = %(orchestrator_id)s

-- name: list_machine_pauses
-- Every machine that is paused alone.
SELECT * FROM machine_pauses ORDER BY orchestrator_id

-- name: save_machine_pause
-- Pause one machine.
INSERT INTO machine_pauses (orchestrator_id, by, reason, at, until)
VALUES (%(orchestrator_id)s, %(by)s, %(reason)s, %(at)s, %(until)s)
ON CONFLICT (orchestrator_id) DO UPDATE SET
    by = excluded.by, reason = excluded.reason, at = excluded.at, until = excluded.until

-- name: delete_machine_pause
-- One machine takes work again.
DELETE FROM machine_pauses WHERE orchestrator_id = %(orchestrator_id)s

-- name: insert_event
-- All rows of a transaction at its end, with the next places in the log: see log_head.
WITH head AS (UPDATE log_head SET last_seq = last_seq + %(count)s WHERE id = 1 RETURNING last_seq)
INSERT INTO events (seq, at, actor, entity, entity_id, kind, from_state, to_state, version, reason, data)
SELECT last_seq - %(count)s + place, entry.at, entry.actor, entry.entity, entry.entity_id, entry.kind,
    entry.from_state,
    entry.to_state, entry.version, entry.reason, entry.data
FROM head, ROWS FROM (json_to_recordset(%(entries)s::json) AS (
    at bigint, actor text, entity text, entity_id text, kind text, from_state text, to_state text,
    version bigint, reason text, data text)) WITH ORDINALITY
    AS entry (at, actor, entity, entity_id, kind, from_state, to_state, version, reason, data, place)

-- name: list_events
-- The log from a place on.
SELECT * FROM events WHERE seq > %(after)s ORDER BY seq LIMIT %(limit)s

-- name: list_entity_events
-- The log of one thing.
SELECT * FROM events WHERE entity_id = %(entity_id)s AND seq > %(after)s ORDER BY seq LIMIT %(limit)s

-- name: list_message_events
-- The log of all messages.
SELECT * FROM events WHERE entity = 'message' AND seq > %(after)s ORDER BY seq LIMIT %(limit)s

-- name: list_task_message_events
-- The log of one conversation.
SELECT * FROM events
WHERE entity = 'message' AND entity_id IN (SELECT id FROM messages WHERE conversation_id = %(task_id)s) AND seq > %(after)s
ORDER BY seq LIMIT %(limit)s

-- name: last_seq
-- The newest place in the log; 0 when it is empty.
SELECT coalesce(max(seq), 0) FROM events
