-- name: insert_key
-- A new key.
INSERT INTO api_keys (id, label, scope, digest, orchestrator_id, created_at, expires_at)
VALUES (:id, :label, :scope, :digest, :orchestrator_id, :now, :expires_at)

-- name: read_key
-- One key.
SELECT * FROM api_keys WHERE id = :id

-- name: list_keys
-- Every key, oldest first.
SELECT * FROM api_keys ORDER BY created_at, id

-- name: revoke_key
-- A key that opens nothing any more; the first time counts.
UPDATE api_keys SET revoked_at = coalesce(revoked_at, :now) WHERE id = :id

-- name: use_key
-- When a key was used.
UPDATE api_keys SET last_used_at = :now WHERE id = :id
