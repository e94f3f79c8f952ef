-- name: find_operation
-- What was asked under a key, and how it was answered.
SELECT fingerprint, status, headers, body FROM operations WHERE caller = %(caller)s AND key = %(key)s

-- name: insert_operation
-- An answer, kept with what it answers. Of two replicas that were asked the same at once, the second waits here
-- for the first, fails, and finds that answer.
INSERT INTO operations (caller, key, fingerprint, status, headers, body, at)
VALUES (%(caller)s, %(key)s, %(fingerprint)s, %(status)s, %(headers)s, %(body)s, %(now)s)

-- name: delete_operations
-- Forget the oldest answers of before a time; another replica may be at it too.
DELETE FROM operations WHERE seq = ANY(ARRAY(
    SELECT seq FROM operations WHERE at < %(before)s ORDER BY at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
