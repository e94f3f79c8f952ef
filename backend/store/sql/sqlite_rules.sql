-- name: insert_rule
-- A new rule.
INSERT INTO rules (id, scope, scope_id, kind, pattern, exact, answer, author, message_id, created_at, expires_at)
VALUES (
    :id, :scope, :scope_id, :kind, :pattern, :exact, :answer, :author, :message_id, :now, :expires_at
)

-- name: read_rule
-- One rule.
SELECT * FROM rules WHERE id = :id

-- name: list_rules
-- Every rule, oldest first.
SELECT * FROM rules ORDER BY created_at, id

-- name: list_rules_in_force
-- The rules that may answer a request of a kind now.
SELECT * FROM rules
WHERE kind = :kind AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
ORDER BY created_at, id

-- name: use_rule
-- That a rule has answered.
UPDATE rules SET uses = uses + 1, last_used_at = :now WHERE id = :id

-- name: revoke_rule
-- A rule that answers nothing any more; the first time counts.
UPDATE rules SET revoked_at = coalesce(revoked_at, :now) WHERE id = :id

-- name: save_alert
-- What everybody should know until a time.
INSERT INTO alerts (key, reason, at, until) VALUES (:key, :reason, :now, :until)
ON CONFLICT (key) DO UPDATE SET reason = excluded.reason, at = excluded.at, until = excluded.until

-- name: list_alerts
-- What holds now, oldest first.
SELECT * FROM alerts WHERE until IS NULL OR until > :now ORDER BY at, key

-- name: delete_alert
-- What does not hold any more.
DELETE FROM alerts WHERE key = :key

-- name: delete_old_alerts
-- Alerts whose time was over long ago.
DELETE FROM alerts WHERE until <= :before
