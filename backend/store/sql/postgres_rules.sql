-- name: insert_rule
-- A new rule.
INSERT INTO rules (id, scope, scope_id, kind, pattern, exact, answer, author, message_id, created_at, expires_at)
VALUES (
    %(id)s, %(scope)s, %(scope_id)s, %(kind)s, %(pattern)s, %(exact)s, %(answer)s, %(author)s,
    %(message_id)s, %(now)s, %(expires_at)s
)

-- name: read_rule
-- One rule.
SELECT * FROM rules WHERE id = %(id)s

-- name: list_rules
-- Every rule, oldest first.
SELECT * FROM rules ORDER BY created_at, id

-- name: list_rules_in_force
-- The rules that may answer a request of a kind now.
SELECT * FROM rules
WHERE kind = %(kind)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > %(now)s)
ORDER BY created_at, id

-- name: use_rule
-- That a rule has answered.
UPDATE rules SET uses = uses + 1, last_used_at = %(now)s WHERE id = %(id)s

-- name: revoke_rule
-- A rule that answers nothing any more; the first time counts.
UPDATE rules SET revoked_at = coalesce(revoked_at, %(now)s) WHERE id = %(id)s

-- name: save_alert
-- What everybody should know until a time.
INSERT INTO alerts (key, reason, at, until) VALUES (%(key)s, %(reason)s, %(now)s, %(until)s)
ON CONFLICT (key) DO UPDATE SET reason = excluded.reason, at = excluded.at, until = excluded.until

-- name: list_alerts
-- What holds now, oldest first.
SELECT * FROM alerts WHERE until IS NULL OR until > %(now)s ORDER BY at, key

-- name: delete_alert
-- What does not hold any more.
DELETE FROM alerts WHERE key = %(key)s

-- name: delete_old_alerts
-- Alerts whose time was over long ago.
DELETE FROM alerts WHERE until <= %(before)s
