-- Answers to changes, each written with the change it answers: whoever asks again under the same key gets it.

CREATE TABLE operations (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    caller text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    fingerprint text NOT NULL,
    status integer NOT NULL,
    headers text NOT NULL,
    body text NOT NULL,
    at bigint NOT NULL,
    UNIQUE (caller, key)
);
CREATE INDEX operations_by_age ON operations (at);
