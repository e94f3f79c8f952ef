-- name: find_operation
-- What was asked under a key, and how it was answered.
SELECT fingerprint, status, headers, body FROM operations WHERE caller = :caller AND key = :key

-- name: insert_operation
-- An answer, kept with what it answers.
INSERT INTO operations (caller, key, fingerprint, status, headers, body, at)
VALUES (:caller, :key, :fingerprint, :status, :headers, :body, :now)

-- name: delete_operations
-- Forget the oldest answers of before a time.
DELETE FROM operations
WHERE seq IN (SELECT seq FROM operations WHERE at < :before ORDER BY at LIMIT :limit)
