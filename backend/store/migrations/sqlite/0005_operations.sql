-- Answers to changes, each written with the change it answers: whoever asks again under the same key gets it.

CREATE TABLE operations (
    seq INTEGER PRIMARY KEY,
    caller TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    headers TEXT NOT NULL,
    body TEXT NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (caller, key)
) STRICT;
CREATE INDEX operations_by_age ON operations (at);
