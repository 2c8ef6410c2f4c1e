-- The violation and alert messages that the WebSocket sends, in one order for all server processes and all clients.
--
-- Every process reads the table in that order and sends what is new, so a client that comes back, to whichever process,
-- can be sent exactly what it missed. Messages stay for ten minutes; they refer to the records that they are about, and
-- are deleted with them.
--
-- The runner applies each file in one transaction with a lock timeout, and every index is on a new table:
-- squawk-ignore-file prefer-robust-stmts, require-concurrent-index-creation, require-lock-timeout, require-statement-timeout

CREATE TABLE push_messages (
    pushed_at timestamptz PRIMARY KEY,    -- the position: whole milliseconds, in the order of the commits
    violation_id bigint REFERENCES rate_limit_violations (id) ON DELETE CASCADE,
    alert_id bigint REFERENCES rate_limit_alerts (id) ON DELETE CASCADE,
    hits bigint,                          -- how many of the violation's refusals the message is about
    data json NOT NULL,                   -- of a violation, the message's; of an alert, its row and acknowledgement after the change
    CONSTRAINT push_messages_subject_check CHECK (num_nonnulls(violation_id, alert_id) = 1),
    CONSTRAINT push_messages_hits_check CHECK (
        (hits IS NULL) = (violation_id IS NULL) AND hits >= 1 AND pushed_at = date_trunc('milliseconds', pushed_at)
    )
);

CREATE INDEX push_messages_violation_id_idx ON push_messages (violation_id);
CREATE INDEX push_messages_alert_id_idx ON push_messages (alert_id);

-- The next position. Writers wait for each other from here to their commit: without that, a position could become
-- visible after a later one that a process has read already. A message beyond the thousandth of a second is dated ahead.
CREATE FUNCTION push_position() RETURNS timestamptz LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(x'67616970'::bigint);  -- "gaip"
    RETURN (
        SELECT greatest(date_trunc('milliseconds', clock_timestamp()), max(m.pushed_at) + interval '1 millisecond')
        FROM push_messages AS m
    );
END $$;

-- Delete messages that have been there for ten minutes before a position, more of them than are ever stored at once.
CREATE FUNCTION push_forget(before timestamptz) RETURNS void LANGUAGE sql AS $$
    DELETE FROM push_messages WHERE pushed_at IN (
        SELECT m.pushed_at FROM push_messages AS m WHERE m.pushed_at < before - interval '10 minutes'
        ORDER BY m.pushed_at LIMIT 100
    )
$$;

-- Store messages about refusals, given as the data of `violation` messages. A message is about no more refusals than
-- are left: those stored, less those that other messages are about. So a second attempt, or one by another process,
-- never sends a refusal twice.
CREATE FUNCTION push_violations(messages json) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    first timestamptz := push_position();
BEGIN
    INSERT INTO push_messages (pushed_at, violation_id, hits, data)
        SELECT first + (row_number() OVER (ORDER BY m.n) - 1) * interval '1 millisecond', v.id, l.hits, m.data
        FROM json_array_elements(messages) WITH ORDINALITY AS m (data, n)
        JOIN rate_limit_violations AS v ON v.key = m.data ->> 'key' AND v.rule_id = (m.data ->> 'rule_id')::bigint
            AND v.occurred_at = date_trunc('second', (m.data ->> 'occurred_at')::timestamptz)
        CROSS JOIN LATERAL (
            SELECT least((m.data ->> 'hits')::bigint, v.hits - coalesce(sum(p.hits), 0)) AS hits
            FROM push_messages AS p WHERE p.violation_id = v.id
        ) AS l
        WHERE l.hits > 0;
    PERFORM push_forget(first);
END $$;

-- An alert that fires, is acknowledged or resolves, by any program, becomes a message in the same transaction. The
-- argument names the column with the alert's id.
CREATE FUNCTION push_alert() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    pushed timestamptz := push_position();  -- before the alert is read: what others commit meanwhile belongs to it
BEGIN
    INSERT INTO push_messages (pushed_at, alert_id, data)
        SELECT pushed, a.id, to_jsonb(a) || coalesce(to_jsonb(k), '{}')
        FROM rate_limit_alerts AS a LEFT JOIN rate_limit_alert_acknowledgements AS k ON k.alert_id = a.id
        WHERE a.id = (to_jsonb(NEW) ->> TG_ARGV[0])::bigint;
    PERFORM push_forget(pushed);
    RETURN NULL;
END $$;

CREATE TRIGGER rate_limit_alerts_push AFTER INSERT OR UPDATE ON rate_limit_alerts
    FOR EACH ROW EXECUTE FUNCTION push_alert('id');
CREATE TRIGGER rate_limit_alert_acknowledgements_push AFTER INSERT ON rate_limit_alert_acknowledgements
    FOR EACH ROW EXECUTE FUNCTION push_alert('alert_id');
