-- name: read_task
-- One task with the ids of its blockers.
SELECT tasks.*,
       (SELECT group_concat(blocker_id, ' ') FROM task_dependencies WHERE task_id = tasks.id) AS blocked_by
FROM tasks WHERE id = :id

-- name: list_tasks
-- Tasks in claim order; `filter_*` blocks and `in_claim_order` are appended.
SELECT tasks.*,
       (SELECT group_concat(blocker_id, ' ') FROM task_dependencies WHERE task_id = tasks.id) AS blocked_by
FROM tasks WHERE TRUE

-- name: filter_queue
-- One state: walks tasks_by_queue in order, without a sort.
AND queue = :queue

-- name: filter_queues
-- Any of several states.
AND queue IN (SELECT value FROM json_each(:queues))

-- name: filter_priorities
-- Any of several priorities.
AND priority IN (SELECT value FROM json_each(:priorities))

-- name: filter_roles
-- Any of several roles.
AND role IN (SELECT value FROM json_each(:roles))

-- name: filter_types
-- Any of several types.
AND type IN (SELECT value FROM json_each(:types))

-- name: filter_claimed_by
-- Held by one agent.
AND claimed_by = :claimed_by

-- name: filter_project
-- One project.
AND project_id = :project

-- name: filter_scope
-- One namespace.
AND scope = :scope

-- name: filter_text
-- Words somewhere in id, title or body.
AND (id LIKE :text ESCAPE '\' OR title LIKE :text ESCAPE '\' OR body LIKE :text ESCAPE '\')

-- name: in_claim_order
-- Priority, then what was rejected before, then the oldest; at most :limit (-1 for all).
ORDER BY priority, rejection_count = 0, seq LIMIT :limit

-- name: count_queues
-- Tasks by state, from the maintained counts.
SELECT queue, tasks FROM queue_counts

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
    :id, :title, :body, :queue, :priority, :role, :type, :complexity, :project_id, :file_path, :repo_url,
    :base_branch, :base_sha, :needs, :auto_accept, :open_blockers, :reason,
    :created_by, :now, :now, :metadata, :created_as, :scope)

-- name: read_created_as
-- The digest of what a task was created from.
SELECT created_as FROM tasks WHERE id = :id

-- name: find_file
-- The task that has a file path.
SELECT id FROM tasks WHERE file_path = :file_path

-- name: save_state
-- Everything a transition may change, if nobody has changed the task since it was read.
UPDATE tasks SET
    queue = :queue, open_blockers = :open_blockers,
    claimed_by = :claimed_by, claimed_at = :claimed_at, orchestrator_id = :orchestrator_id,
    run_id = :run_id, fence = :fence, lease_expires_at = :lease_expires_at,
    attempt_count = :attempt_count, attempts_forgiven = :attempts_forgiven,
    rejection_count = :rejection_count, continuation_count = :continuation_count,
    conflict_count = :conflict_count, head_sha = :head_sha, resume_run_id = :resume_run_id,
    approved_by = :approved_by, approved_at = :approved_at, approved_sha = :approved_sha,
    reason = :reason, merged_sha = :merged_sha, submitted_at = :submitted_at,
    completed_at = :completed_at, version = :version, updated_at = :updated_at
WHERE id = :id AND version = :version - 1

-- name: save_content
-- Everything a person may edit, and the state that follows from the dependencies.
UPDATE tasks SET
    title = :title, body = :body, priority = :priority, role = :role, type = :type,
    complexity = :complexity, project_id = :project_id, auto_accept = :auto_accept, needs = :needs,
    pr_url = :pr_url, metadata = :metadata, queue = :queue, open_blockers = :open_blockers,
    reason = :reason, version = :version, updated_at = :updated_at
WHERE id = :id AND version = :version - 1

-- name: set_open_blockers
-- The counter alone, of a task whose state does not depend on it now.
UPDATE tasks SET open_blockers = :open_blockers WHERE id = :id

-- name: claim_next
-- Claim the first claimable task: one statement, through tasks_by_queue. It claims nothing for a machine that
-- is not known or a run that exists. Without the CAST SQLite would scan every dependency for RETURNING.
UPDATE tasks SET
    queue = 'claimed', claimed_by = :agent_name, claimed_at = :now, orchestrator_id = :orchestrator_id,
    run_id = :run_id, fence = fence + 1, lease_expires_at = :expires, attempt_count = attempt_count + 1,
    approved_by = NULL, approved_at = NULL, approved_sha = NULL, reason = NULL, submitted_at = NULL,
    merged_sha = NULL, completed_at = NULL, version = version + 1, updated_at = :now
WHERE seq = (
    SELECT seq FROM tasks INDEXED BY tasks_by_queue
    WHERE queue = 'incoming' AND attempt_count - attempts_forgiven < :attempts
        AND (:scope IS NULL OR scope = :scope)
    ORDER BY priority, rejection_count = 0, seq LIMIT 1)
    AND EXISTS (SELECT 1 FROM orchestrators WHERE id = :orchestrator_id)
    AND NOT EXISTS (SELECT 1 FROM runs WHERE id = :run_id)
RETURNING *,
    (SELECT group_concat(blocker_id, ' ') FROM task_dependencies WHERE task_id = CAST(tasks.id AS TEXT)) AS blocked_by

-- name: claim_next_of_roles
-- The same for some roles: the head of each role through tasks_ready_by_role, then the best of these.
UPDATE tasks SET
    queue = 'claimed', claimed_by = :agent_name, claimed_at = :now, orchestrator_id = :orchestrator_id,
    run_id = :run_id, fence = fence + 1, lease_expires_at = :expires, attempt_count = attempt_count + 1,
    approved_by = NULL, approved_at = NULL, approved_sha = NULL, reason = NULL, submitted_at = NULL,
    merged_sha = NULL, completed_at = NULL, version = version + 1, updated_at = :now
WHERE seq = (
    SELECT seq FROM tasks WHERE seq IN (
        SELECT (
            SELECT seq FROM tasks INDEXED BY tasks_ready_by_role
            WHERE queue = 'incoming' AND role = wanted.value
                AND attempt_count - attempts_forgiven < :attempts
                AND (:scope IS NULL OR scope = :scope)
            ORDER BY priority, rejection_count = 0, seq LIMIT 1)
        FROM json_each(:roles) AS wanted)
    ORDER BY priority, rejection_count = 0, seq LIMIT 1)
    AND EXISTS (SELECT 1 FROM orchestrators WHERE id = :orchestrator_id)
    AND NOT EXISTS (SELECT 1 FROM runs WHERE id = :run_id)
RETURNING *,
    (SELECT group_concat(blocker_id, ' ') FROM task_dependencies WHERE task_id = CAST(tasks.id AS TEXT)) AS blocked_by

-- name: claim_task
-- The same for one task named by its id.
UPDATE tasks SET
    queue = 'claimed', claimed_by = :agent_name, claimed_at = :now, orchestrator_id = :orchestrator_id,
    run_id = :run_id, fence = fence + 1, lease_expires_at = :expires, attempt_count = attempt_count + 1,
    approved_by = NULL, approved_at = NULL, approved_sha = NULL, reason = NULL, submitted_at = NULL,
    merged_sha = NULL, completed_at = NULL, version = version + 1, updated_at = :now
WHERE id = :task_id AND queue = 'incoming' AND attempt_count - attempts_forgiven < :attempts
    AND (:scope IS NULL OR scope = :scope)
    AND (:roles = '[]' OR role IN (SELECT value FROM json_each(:roles)))
    AND EXISTS (SELECT 1 FROM orchestrators WHERE id = :orchestrator_id)
    AND NOT EXISTS (SELECT 1 FROM runs WHERE id = :run_id)
RETURNING *,
    (SELECT group_concat(blocker_id, ' ') FROM task_dependencies WHERE task_id = CAST(tasks.id AS TEXT)) AS blocked_by

-- name: renew_lease
-- Extend a lease that is still held: the fence decides, not the clock.
UPDATE tasks SET lease_expires_at = :expires
WHERE id = :id AND fence = :fence AND orchestrator_id = :orchestrator_id AND run_id IS NOT NULL

-- name: list_expired
-- Tasks whose lease has run out, the longest over first.
SELECT id FROM tasks WHERE lease_expires_at <= :now ORDER BY lease_expires_at

-- name: list_dependents
-- The tasks that wait for one.
SELECT task_id FROM task_dependencies WHERE blocker_id = :id ORDER BY task_id

-- name: list_blockers
-- What a task waits for, with its state.
SELECT tasks.id, tasks.queue, tasks.reason
FROM task_dependencies JOIN tasks ON tasks.id = task_dependencies.blocker_id
WHERE task_dependencies.task_id = :id ORDER BY tasks.id

-- name: find_cycle
-- A wanted blocker that waits, directly or through others, for the task itself.
WITH RECURSIVE waits(start, id) AS (
    SELECT value, value FROM json_each(:blockers)
    UNION
    SELECT waits.start, blocker_id FROM task_dependencies JOIN waits ON task_id = waits.id)
SELECT start FROM waits WHERE id = :id LIMIT 1

-- name: delete_dependencies
-- Forget what a task waits for.
DELETE FROM task_dependencies WHERE task_id = :id

-- name: insert_dependency
-- Make a task wait for another.
INSERT INTO task_dependencies (task_id, blocker_id) VALUES (:id, :blocker_id)

-- name: insert_run
-- The run a claim begins.
INSERT INTO runs (
    id, task_id, attempt, fence, role, agent_name, orchestrator_id, adapter, model, status,
    started_at, last_activity_at)
VALUES (
    :id, :task_id, :attempt, :fence, :role, :agent_name, :orchestrator_id, :adapter, :model, 'starting',
    :now, :now)

-- name: read_run
-- One run.
SELECT * FROM runs WHERE id = :id

-- name: find_holder
-- The run that was given a fence.
SELECT id FROM runs WHERE task_id = :task_id AND fence = :fence

-- name: list_runs
-- Every run in order of its start.
SELECT * FROM runs ORDER BY seq

-- name: list_live_runs
-- Every run that has not ended.
SELECT * FROM runs WHERE status <> 'ended' ORDER BY seq

-- name: list_task_runs
-- The runs of one task.
SELECT * FROM runs WHERE task_id = :task_id ORDER BY fence

-- name: list_live_task_runs
-- The runs of one task that have not ended.
SELECT * FROM runs WHERE task_id = :task_id AND status <> 'ended' ORDER BY fence

-- name: save_run
-- What is learned while a run goes on.
UPDATE runs SET
    status = :status, session_id = :session_id, base_sha = :base_sha, branch = :branch, turns = :turns,
    tokens_input = :tokens_input, tokens_output = :tokens_output, tokens_cache_read = :tokens_cache_read,
    tokens_cache_write = :tokens_cache_write, cost_usd = :cost_usd, last_activity_at = :last_activity_at
WHERE id = :id AND status <> 'ended'

-- name: end_run
-- The facts a run ended with; changes nothing when it has ended before.
UPDATE runs SET
    status = 'ended', outcome = :outcome, reason = :reason, head_sha = coalesce(:head_sha, head_sha),
    exit_code = :exit_code, commits_count = :commits_count, summary = :summary, ended_at = :now
WHERE id = :id AND status <> 'ended'

-- name: list_abandoned
-- Live runs of an adapter whose task's fence has moved on.
SELECT runs.id, runs.task_id FROM runs JOIN tasks ON tasks.id = runs.task_id
WHERE runs.status <> 'ended' AND runs.adapter = :adapter AND tasks.fence <> runs.fence ORDER BY runs.seq

-- name: sum_cost
-- What the runs started since a time have cost.
SELECT coalesce(sum(cost_usd), 0.0) FROM runs WHERE started_at >= :since AND cost_usd IS NOT NULL

-- name: sum_task_usage
-- What the runs started since a time have used, by task; the dearest first.
SELECT r.task_id AS key, count(*) AS runs, coalesce(sum(r.cost_usd), 0.0) AS cost_usd,
    sum(r.tokens_input) AS tokens_input, sum(r.tokens_output) AS tokens_output,
    sum(r.tokens_cache_read) AS tokens_cache_read, sum(r.tokens_cache_write) AS tokens_cache_write
FROM runs r WHERE r.started_at >= :since
GROUP BY 1 ORDER BY 3 DESC, 1

-- name: sum_agent_usage
-- What the runs started since a time have used, by agent; the dearest first.
SELECT r.agent_name AS key, count(*) AS runs, coalesce(sum(r.cost_usd), 0.0) AS cost_usd,
    sum(r.tokens_input) AS tokens_input, sum(r.tokens_output) AS tokens_output,
    sum(r.tokens_cache_read) AS tokens_cache_read, sum(r.tokens_cache_write) AS tokens_cache_write
FROM runs r WHERE r.started_at >= :since
GROUP BY 1 ORDER BY 3 DESC, 1

-- name: sum_project_usage
-- What the runs started since a time have used, by project; the dearest first.
SELECT coalesce(t.project_id, '') AS key, count(*) AS runs, coalesce(sum(r.cost_usd), 0.0) AS cost_usd,
    sum(r.tokens_input) AS tokens_input, sum(r.tokens_output) AS tokens_output,
    sum(r.tokens_cache_read) AS tokens_cache_read, sum(r.tokens_cache_write) AS tokens_cache_write
FROM runs r JOIN tasks t ON t.id = r.task_id WHERE r.started_at >= :since
GROUP BY 1 ORDER BY 3 DESC, 1

-- name: insert_evidence
-- One check's result.
INSERT INTO evidence (
    id, task_id, run_id, name, command, commit_sha, base_sha, exit_code, output_tail, output_digest,
    duration_ms, at)
VALUES (
    :id, :task_id, :run_id, :name, :command, :commit_sha, :base_sha, :exit_code, :output_tail,
    :output_digest, :duration_ms, :at)

-- name: list_evidence
-- The checks of one task, oldest first.
SELECT * FROM evidence WHERE task_id = :task_id ORDER BY seq

-- name: read_evidence
-- One check's result.
SELECT * FROM evidence WHERE id = :id

-- name: insert_message
-- A new message.
INSERT INTO messages (
    id, conversation_id, sender_type, sender_id, type, kind, body, options, parent_message_id, run_id,
    request_id, deadline, default_answer, created_at)
VALUES (
    :id, :conversation_id, :sender_type, :sender_id, :type, :kind, :body, :options, :parent_message_id,
    :run_id, :request_id, :deadline, :default_answer, :now)

-- name: read_message
-- One message.
SELECT * FROM messages WHERE id = :id

-- name: find_request
-- The message an agent's request became.
SELECT * FROM messages WHERE run_id = :run_id AND request_id = :request_id

-- name: answer_message
-- The answer to a request that is still open.
UPDATE messages SET answer = :answer, answered_at = :now
WHERE id = :id AND type = 'request' AND answered_at IS NULL AND withdrawn_at IS NULL
RETURNING *

-- name: withdraw_message
-- Close a request that is still open.
UPDATE messages SET withdrawn_at = :now
WHERE id = :id AND type = 'request' AND answered_at IS NULL AND withdrawn_at IS NULL
RETURNING *

-- name: deliver_message
-- The answer has reached its run.
UPDATE messages SET delivered_at = :now WHERE id = :id AND answered_at IS NOT NULL AND delivered_at IS NULL
RETURNING *

-- name: list_messages
-- One conversation, oldest first.
SELECT * FROM messages WHERE conversation_id = :conversation_id ORDER BY seq

-- name: list_open_questions
-- Every request nobody has answered, oldest first.
SELECT * FROM messages WHERE type = 'request' AND answered_at IS NULL AND withdrawn_at IS NULL ORDER BY seq

-- name: list_undelivered
-- Answers that have not reached one of these runs.
SELECT * FROM messages
WHERE run_id IN (SELECT value FROM json_each(:run_ids)) AND answered_at IS NOT NULL AND delivered_at IS NULL
ORDER BY seq

-- name: insert_orchestrator
-- A machine seen for the first time.
INSERT INTO orchestrators (id, cluster, machine_id, pid, repo_url, instance, registered_at, last_heartbeat_at)
VALUES (:id, :cluster, :machine_id, :pid, :repo_url, :instance, :now, :now)

-- name: read_orchestrator
-- One machine.
SELECT * FROM orchestrators WHERE id = :id

-- name: list_orchestrators
-- Every machine.
SELECT * FROM orchestrators ORDER BY id

-- name: save_register
-- A known machine has started again.
UPDATE orchestrators SET
    pid = :pid, last_heartbeat_at = :now, offline_at = NULL,
    repo_url = coalesce(:repo_url, repo_url), instance = coalesce(:instance, instance)
WHERE id = :id

-- name: save_heartbeat
-- A machine is alive; the time of its last cycle stays unless a later one is given.
UPDATE orchestrators SET
    last_heartbeat_at = :now, last_cycle_at = coalesce(:cycle_at, last_cycle_at), offline_at = NULL
WHERE id = :id

-- name: save_offline
-- A machine has gone: once, however often it is noticed.
UPDATE orchestrators SET offline_at = :now WHERE id = :id AND offline_at IS NULL

-- name: list_silent_orchestrators
-- Machines not heard of since a time, which nobody has noticed yet.
SELECT * FROM orchestrators WHERE offline_at IS NULL AND last_heartbeat_at < :before ORDER BY id

-- name: list_agents
-- Every worker slot.
SELECT * FROM agents ORDER BY orchestrator_id, name

-- name: list_machine_agents
-- The worker slots of one machine.
SELECT * FROM agents WHERE orchestrator_id = :orchestrator_id ORDER BY name

-- name: save_agent
-- A worker slot as it is now.
INSERT INTO agents (
    orchestrator_id, name, role, adapter, status, task_id, run_id, pid, reason, updated_at)
VALUES (
    :orchestrator_id, :name, :role, :adapter, :status, :task_id, :run_id, :pid, :reason, :now)
ON CONFLICT (orchestrator_id, name) DO UPDATE SET
    role = excluded.role, adapter = excluded.adapter, status = excluded.status, task_id = excluded.task_id,
    run_id = excluded.run_id, pid = excluded.pid, reason = excluded.reason, updated_at = excluded.updated_at

-- name: delete_agent
-- A worker slot that is no longer configured.
DELETE FROM agents WHERE orchestrator_id = :orchestrator_id AND name = :name

-- name: read_intake
-- Whether intake is paused.
SELECT paused, by, reason, at, until FROM intake

-- name: save_intake
-- Pause or resume.
UPDATE intake SET paused = :paused, by = :by, reason = :reason, at = :at, until = :until

-- name: read_machine_pause
-- Whether one machine takes nothing new.
SELECT by, reason, at, until FROM machine_pauses WHERE orchestrator_id = :orchestrator_id

-- name: list_machine_pauses
-- Every machine that is paused alone.
SELECT * FROM machine_pauses ORDER BY orchestrator_id

-- name: save_machine_pause
-- Pause one machine.
INSERT INTO machine_pauses (orchestrator_id, by, reason, at, until)
VALUES (:orchestrator_id, :by, :reason, :at, :until)
ON CONFLICT (orchestrator_id) DO UPDATE SET
    by = excluded.by, reason = excluded.reason, at = excluded.at, until = excluded.until

-- name: delete_machine_pause
-- One machine takes work again.
DELETE FROM machine_pauses WHERE orchestrator_id = :orchestrator_id

-- name: insert_event
-- One row of the log.
INSERT INTO events (at, actor, entity, entity_id, kind, from_state, to_state, version, reason, data)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: list_events
-- The log from a place on.
SELECT * FROM events WHERE seq > :after ORDER BY seq LIMIT :limit

-- name: list_entity_events
-- The log of one thing.
SELECT * FROM events WHERE entity_id = :entity_id AND seq > :after ORDER BY seq LIMIT :limit

-- name: list_message_events
-- The log of all messages.
SELECT * FROM events WHERE entity = 'message' AND seq > :after ORDER BY seq LIMIT :limit

-- name: list_task_message_events
-- The log of one conversation.
SELECT * FROM events
WHERE entity = 'message' AND entity_id IN (SELECT id FROM messages WHERE conversation_id = :task_id) AND seq > :after
ORDER BY seq LIMIT :limit

-- name: last_seq
-- The newest place in the log; 0 when it is empty.
SELECT coalesce(max(seq), 0) FROM events
