-- The baseline for group commit: one rule's exact sliding window in the fewest statements, one call per request.
-- Admission number n of a key is stored in slot n % maximum; a request passes when its slot's admission has left the window.

CREATE TABLE one_call_keys (
    key text COLLATE "C" PRIMARY KEY,
    n bigint NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE one_call_admissions (
    key text COLLATE "C" NOT NULL,
    slot bigint NOT NULL,
    admitted_at timestamptz NOT NULL,
    PRIMARY KEY (key, slot)
) WITH (fillfactor = 70);

CREATE FUNCTION one_call(of_key text, maximum bigint, span interval, OUT admitted boolean, OUT checked_at timestamptz)
LANGUAGE plpgsql AS $$
DECLARE
    place bigint;
BEGIN
    INSERT INTO one_call_keys AS k (key, n) VALUES (of_key, 0)
        ON CONFLICT (key) DO UPDATE SET n = k.n + 1 RETURNING n % maximum INTO place;
    checked_at := clock_timestamp();
    INSERT INTO one_call_admissions AS a (key, slot, admitted_at) VALUES (of_key, place, checked_at)
        ON CONFLICT (key, slot) DO UPDATE SET admitted_at = excluded.admitted_at
            WHERE a.admitted_at <= excluded.admitted_at - span;
    admitted := FOUND;
    IF NOT admitted THEN
        UPDATE one_call_keys AS k SET n = k.n - 1 WHERE k.key = of_key;
    END IF;
END $$;
