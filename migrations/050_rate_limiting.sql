-- Rate limiting: rules, the exact sliding windows and quotas that enforce them, and what is told about it.
--
-- A rule applies to a key: 'global', or '<scope>:<value>' of whoever asks ('ip:192.0.2.7').
-- Window rules count admissions in a ring per (key, rule); quota rules count per calendar period (UTC).
-- Every table about a key leads with it, so that the tables can be sharded by key.
--
-- The runner applies each file in one transaction with a lock timeout, and every index is on a table made here:
-- squawk-ignore-file prefer-robust-stmts, require-concurrent-index-creation, require-lock-timeout, require-statement-timeout

-- Rules ------------------------------------------------------------------------------------------

CREATE TABLE rate_limit_configs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule_name text NOT NULL,
    scope text NOT NULL,
    scope_value text,                 -- NULL: every principal of the scope, each counted on its own
    limit_type text NOT NULL,
    limit_value bigint NOT NULL,
    resource_type text,               -- NULL: every resource
    enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT rate_limit_configs_rule_name_key UNIQUE (rule_name),
    -- it is written into HTTP headers as a quoted string, so printable ASCII without quote and backslash
    CONSTRAINT rate_limit_configs_rule_name_check CHECK (rule_name ~ '^[A-Za-z0-9][A-Za-z0-9 ._:/@-]{0,99}$'),
    CONSTRAINT rate_limit_configs_scope_check CHECK (scope IN ('global', 'ip', 'user', 'session', 'api_key')),
    CONSTRAINT rate_limit_configs_scope_value_check CHECK (
        scope_value IS NULL OR (scope <> 'global' AND length(scope_value) BETWEEN 1 AND 200)
    ),
    CONSTRAINT rate_limit_configs_limit_type_check CHECK (limit_type IN (
        'requests_per_second', 'requests_per_minute', 'requests_per_hour',
        'daily_quota', 'weekly_quota', 'monthly_quota'
    )),
    CONSTRAINT rate_limit_configs_limit_value_check CHECK (limit_value BETWEEN 0 AND 1000000000),
    CONSTRAINT rate_limit_configs_resource_type_check CHECK (length(resource_type) BETWEEN 1 AND 50)
);

-- what a check looks for: the enabled rules of a principal
CREATE INDEX rate_limit_configs_scope_idx ON rate_limit_configs (scope, scope_value) WHERE enabled;

-- Windows ----------------------------------------------------------------------------------------

-- One row per key and rule: the lock of that key, and the ring's pointers. Admission number s (0, 1, ...)
-- stands in slot s % capacity; those from tail to head - 1 are in the window, as far as was looked.
-- The ring doubles when all of it is in the window. So it never forgets an admission that counts, whatever
-- becomes of the limit, and keeps at most twice as many rows as were ever admitted in one window.
CREATE TABLE rate_limit_buckets (
    key text NOT NULL,
    rule_id bigint NOT NULL REFERENCES rate_limit_configs (id) ON DELETE CASCADE,
    head bigint NOT NULL DEFAULT 0,   -- admissions so far
    tail bigint NOT NULL DEFAULT 0,   -- the oldest admission that had not left the window
    capacity bigint NOT NULL DEFAULT 8,
    PRIMARY KEY (key, rule_id),
    CONSTRAINT rate_limit_buckets_pointers_check CHECK (0 <= tail AND tail <= head AND capacity >= 1)
) WITH (fillfactor = 70);             -- room for in-page updates

CREATE INDEX rate_limit_buckets_rule_id_idx ON rate_limit_buckets (rule_id, key);  -- the order of the list of usage

-- The ring itself, overwritten in place.
CREATE TABLE rate_limit_ring (
    key text NOT NULL,
    rule_id bigint NOT NULL,
    slot bigint NOT NULL,
    admitted_at timestamptz NOT NULL,
    PRIMARY KEY (key, rule_id, slot),
    CONSTRAINT rate_limit_ring_bucket_fkey FOREIGN KEY (key, rule_id)
        REFERENCES rate_limit_buckets (key, rule_id) ON DELETE CASCADE
) WITH (fillfactor = 70);

-- Quotas -----------------------------------------------------------------------------------------

-- The running period of each key and quota rule, and the lock of that key.
CREATE TABLE resource_quotas (
    key text NOT NULL,
    rule_id bigint NOT NULL REFERENCES rate_limit_configs (id) ON DELETE CASCADE,
    period_start timestamptz NOT NULL,
    used bigint NOT NULL DEFAULT 0,
    last_at timestamptz NOT NULL,     -- the newest admission
    PRIMARY KEY (key, rule_id),
    CONSTRAINT resource_quotas_used_check CHECK (used >= 0)
) WITH (fillfactor = 70);

CREATE INDEX resource_quotas_rule_id_idx ON resource_quotas (rule_id, key);
CREATE INDEX resource_quotas_period_start_idx ON resource_quotas (rule_id, period_start);  -- periods to be closed

-- The periods that are over: written when the key asks again or by the upkeep, whichever comes first.
CREATE TABLE resource_consumption (
    key text NOT NULL,
    rule_id bigint NOT NULL REFERENCES rate_limit_configs (id) ON DELETE CASCADE,
    period_start timestamptz NOT NULL,
    used bigint NOT NULL,
    closed_at timestamptz NOT NULL,
    PRIMARY KEY (key, rule_id, period_start),
    CONSTRAINT resource_consumption_used_check CHECK (used > 0)
);

CREATE INDEX resource_consumption_rule_id_idx ON resource_consumption (rule_id, period_start);
CREATE INDEX resource_consumption_closed_at_idx ON resource_consumption (closed_at);

-- What is told -----------------------------------------------------------------------------------

-- Refused requests, one row per key, rule and second: a flood costs one row a second, not one per request.
CREATE TABLE rate_limit_violations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule_id bigint NOT NULL REFERENCES rate_limit_configs (id) ON DELETE CASCADE,
    key text NOT NULL,
    resource_type text NOT NULL,      -- of the second's first refusal
    occurred_at timestamptz NOT NULL, -- the second
    last_at timestamptz NOT NULL,
    hits bigint NOT NULL DEFAULT 1,
    CONSTRAINT rate_limit_violations_second_key UNIQUE (key, rule_id, occurred_at),
    CONSTRAINT rate_limit_violations_hits_check CHECK (hits >= 1)
) WITH (fillfactor = 80);

CREATE INDEX rate_limit_violations_occurred_at_idx ON rate_limit_violations (occurred_at DESC, id DESC);
CREATE INDEX rate_limit_violations_rule_id_idx ON rate_limit_violations (rule_id, occurred_at DESC);
CREATE INDEX rate_limit_violations_key_idx ON rate_limit_violations (key, occurred_at DESC);

-- Decisions per minute, summed over all server processes. No keys: it outlives the rules.
CREATE TABLE rate_limit_stats (
    minute timestamptz NOT NULL,
    scope text NOT NULL,
    resource_type text NOT NULL,
    admitted bigint NOT NULL DEFAULT 0,
    denied bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (minute, scope, resource_type),
    CONSTRAINT rate_limit_stats_counts_check CHECK (admitted >= 0 AND denied >= 0)
) WITH (fillfactor = 80);

CREATE INDEX rate_limit_stats_resource_type_idx ON rate_limit_stats (resource_type, minute DESC);

-- How each server process felt, about once a minute.
CREATE TABLE system_load_history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sampled_at timestamptz NOT NULL DEFAULT now(),
    instance text NOT NULL,
    cpu_percent double precision NOT NULL,
    memory_bytes bigint NOT NULL,
    requests_per_second double precision NOT NULL,
    websocket_clients bigint NOT NULL,
    pool_in_use bigint NOT NULL,
    CONSTRAINT system_load_history_values_check CHECK (
        cpu_percent >= 0 AND memory_bytes >= 0 AND requests_per_second >= 0
        AND websocket_clients >= 0 AND pool_in_use >= 0
    )
);

CREATE INDEX system_load_history_sampled_at_idx ON system_load_history (sampled_at DESC);
CREATE INDEX system_load_history_instance_idx ON system_load_history (instance, sampled_at DESC);

-- Alerts, one row from firing to resolving. All server processes share them: each reads what is here and tells it.
CREATE TABLE rate_limit_alerts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    severity text NOT NULL,
    says text NOT NULL,
    threshold bigint NOT NULL,
    value bigint NOT NULL,            -- when it fired
    fired_at timestamptz NOT NULL,
    resolved_value bigint,            -- when it was resolved
    resolved_at timestamptz,
    CONSTRAINT rate_limit_alerts_resolved_check CHECK (
        (resolved_at IS NULL) = (resolved_value IS NULL) AND resolved_at >= fired_at
    )
);

-- an alert fires once, however many processes see that it should
CREATE UNIQUE INDEX rate_limit_alerts_firing_idx ON rate_limit_alerts (name) WHERE resolved_at IS NULL;
CREATE INDEX rate_limit_alerts_fired_at_idx ON rate_limit_alerts (fired_at DESC, id DESC);

-- A rule that changes ----------------------------------------------------------------------------

-- A new limit_value keeps what was counted. Any other change makes it a different limit, which starts empty.
CREATE FUNCTION rate_limit_config_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    IF (NEW.scope, NEW.scope_value, NEW.limit_type, NEW.resource_type)
        IS DISTINCT FROM (OLD.scope, OLD.scope_value, OLD.limit_type, OLD.resource_type)
    THEN
        DELETE FROM rate_limit_buckets WHERE rule_id = OLD.id;
        DELETE FROM resource_quotas WHERE rule_id = OLD.id;
        DELETE FROM resource_consumption WHERE rule_id = OLD.id;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER rate_limit_config_changed BEFORE UPDATE ON rate_limit_configs
    FOR EACH ROW EXECUTE FUNCTION rate_limit_config_changed();

-- An API key that no rule names any more is nobody: what other rules counted for it goes with its last rule.
CREATE FUNCTION rate_limit_config_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.scope = 'api_key' AND NOT EXISTS (
        SELECT FROM rate_limit_configs AS c WHERE c.scope = 'api_key' AND c.scope_value = OLD.scope_value
    ) THEN
        DELETE FROM rate_limit_buckets WHERE key = 'api_key:' || OLD.scope_value;
        DELETE FROM resource_quotas WHERE key = 'api_key:' || OLD.scope_value;
        DELETE FROM resource_consumption WHERE key = 'api_key:' || OLD.scope_value;
        DELETE FROM rate_limit_violations WHERE key = 'api_key:' || OLD.scope_value;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER rate_limit_config_deleted AFTER DELETE ON rate_limit_configs
    FOR EACH ROW EXECUTE FUNCTION rate_limit_config_deleted();

-- Every server process listens: whoever changes a rule, and however, all read the rules again.
CREATE FUNCTION rate_limit_configs_announce() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('gaia_rules', '');
    RETURN NULL;
END $$;

CREATE TRIGGER rate_limit_configs_announce AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON rate_limit_configs
    FOR EACH STATEMENT EXECUTE FUNCTION rate_limit_configs_announce();

-- The limiter ------------------------------------------------------------------------------------

CREATE FUNCTION rate_limit_window(limit_type text) RETURNS interval LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE limit_type
        WHEN 'requests_per_second' THEN interval '1 second'
        WHEN 'requests_per_minute' THEN interval '1 minute'
        WHEN 'requests_per_hour' THEN interval '1 hour'
    END
$$;

CREATE FUNCTION rate_limit_period(limit_type text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE limit_type
        WHEN 'daily_quota' THEN 'day'
        WHEN 'weekly_quota' THEN 'week'
        WHEN 'monthly_quota' THEN 'month'
    END
$$;

-- A period begins at midnight UTC; a week on Monday, as ISO 8601 has it.
CREATE FUNCTION rate_limit_period_start(limit_type text, moment timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT date_trunc(rate_limit_period(limit_type), moment, 'UTC')
$$;

CREATE FUNCTION rate_limit_period_end(limit_type text, moment timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT (rate_limit_period_start(limit_type, moment) AT TIME ZONE 'UTC'
            + ('1 ' || rate_limit_period(limit_type))::interval) AT TIME ZONE 'UTC'
$$;

-- Where one rule stands for one key, while a check is made.
CREATE TYPE rate_limit_standing AS (
    rule_id bigint,
    rule_name text,
    scope text,
    limit_type text,
    limit_value bigint,
    key text,
    admitted boolean,
    remaining bigint,
    reset_at timestamptz,             -- refused: when it would be admitted; else: when remaining grows next
    checked_at timestamptz,           -- the database's clock, read once all locks were held
    head bigint,
    tail bigint,
    capacity bigint
);

-- Lock the key's bucket, made if need be, and read its pointers.
CREATE FUNCTION rate_limit_lock_bucket(INOUT standing rate_limit_standing) LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        SELECT b.head, b.tail, b.capacity INTO standing.head, standing.tail, standing.capacity
            FROM rate_limit_buckets AS b
            WHERE b.key = standing.key AND b.rule_id = standing.rule_id FOR UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO rate_limit_buckets (key, rule_id)
            VALUES (standing.key, standing.rule_id) ON CONFLICT DO NOTHING;
    END LOOP;
END $$;

-- Lock the key's quota, made if need be.
CREATE FUNCTION rate_limit_lock_quota(standing rate_limit_standing) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        PERFORM FROM resource_quotas AS q
            WHERE q.key = standing.key AND q.rule_id = standing.rule_id FOR UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO resource_quotas (key, rule_id, period_start, last_at)
            VALUES (standing.key, standing.rule_id,
                    rate_limit_period_start(standing.limit_type, clock_timestamp()), clock_timestamp())
            ON CONFLICT DO NOTHING;
    END LOOP;
END $$;

-- Double the ring: an admission stays in its slot or moves up by the old capacity, as its number has it.
CREATE FUNCTION rate_limit_grow(INOUT standing rate_limit_standing) LANGUAGE plpgsql AS $$
DECLARE
    old bigint := standing.capacity;
    first bigint := standing.head - old;  -- the oldest admission in the ring
BEGIN
    standing.capacity := 2 * old;
    UPDATE rate_limit_ring AS r SET slot = r.slot + old
        WHERE r.key = standing.key AND r.rule_id = standing.rule_id
            AND (first + ((r.slot - first) % old + old) % old) % standing.capacity >= old;
    UPDATE rate_limit_buckets AS b SET capacity = standing.capacity
        WHERE b.key = standing.key AND b.rule_id = standing.rule_id;
END $$;

-- When admission `number` was; NULL if it is not in the ring.
CREATE FUNCTION rate_limit_admitted_at(standing rate_limit_standing, number bigint) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT r.admitted_at FROM rate_limit_ring AS r
    WHERE r.key = standing.key AND r.rule_id = standing.rule_id AND r.slot = number % standing.capacity
$$;

-- The oldest admission after `cutoff`: most often the tail or the one after it, so gallop, then bisect.
CREATE FUNCTION rate_limit_expire(standing rate_limit_standing, cutoff timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    expired bigint := standing.tail - 1;  -- all up to here have left the window
    inside bigint := standing.head;       -- all from here are in it
    step bigint := 1;
    probe bigint;
BEGIN
    WHILE inside - expired > 1 LOOP
        probe := least(expired + step, (expired + inside) / 2 + 1, inside - 1);
        IF coalesce(rate_limit_admitted_at(standing, probe) <= cutoff, true) THEN
            expired := probe;
            step := step * 2;
        ELSE
            inside := probe;
        END IF;
    END LOOP;
    RETURN inside;
END $$;

-- Whether a window rule admits one more at `moment`.
CREATE FUNCTION rate_limit_weigh_window(INOUT standing rate_limit_standing, moment timestamptz)
LANGUAGE plpgsql AS $$
DECLARE
    span interval := rate_limit_window(standing.limit_type);
    decisive bigint;
BEGIN
    standing.tail := rate_limit_expire(standing, moment - span);
    standing.remaining := greatest(standing.limit_value - (standing.head - standing.tail), 0);
    standing.admitted := standing.remaining > 0;
    -- the admission whose leaving changes something: refused: the one in the way; else the oldest
    decisive := CASE WHEN standing.admitted THEN standing.tail ELSE standing.head - standing.limit_value END;
    standing.reset_at := CASE WHEN decisive < standing.head
        THEN rate_limit_admitted_at(standing, decisive) ELSE moment END + span;
END $$;

-- Whether a quota rule admits one more at `moment`. A period that is over is closed first.
CREATE FUNCTION rate_limit_weigh_quota(INOUT standing rate_limit_standing, moment timestamptz)
LANGUAGE plpgsql AS $$
DECLARE
    current_start timestamptz := rate_limit_period_start(standing.limit_type, moment);
BEGIN
    INSERT INTO resource_consumption AS c (key, rule_id, period_start, used, closed_at)
        SELECT q.key, q.rule_id, q.period_start, q.used, moment FROM resource_quotas AS q
        WHERE q.key = standing.key AND q.rule_id = standing.rule_id
            AND q.period_start <> current_start AND q.used > 0
        ON CONFLICT (key, rule_id, period_start) DO UPDATE SET used = c.used + excluded.used, closed_at = moment;
    UPDATE resource_quotas AS q SET period_start = current_start, used = 0
        WHERE q.key = standing.key AND q.rule_id = standing.rule_id AND q.period_start <> current_start;
    SELECT greatest(standing.limit_value - q.used, 0) INTO standing.remaining FROM resource_quotas AS q
        WHERE q.key = standing.key AND q.rule_id = standing.rule_id;
    standing.admitted := standing.remaining > 0;
    standing.reset_at := rate_limit_period_end(standing.limit_type, moment);
END $$;

-- Count one admission.
CREATE FUNCTION rate_limit_consume(INOUT standing rate_limit_standing, moment timestamptz)
LANGUAGE plpgsql AS $$
BEGIN
    standing.remaining := standing.remaining - 1;
    IF standing.capacity IS NULL THEN
        UPDATE resource_quotas AS q SET used = q.used + 1, last_at = moment
            WHERE q.key = standing.key AND q.rule_id = standing.rule_id;
        RETURN;
    END IF;
    IF standing.head - standing.tail >= standing.capacity THEN
        standing := rate_limit_grow(standing);
    END IF;
    INSERT INTO rate_limit_ring (key, rule_id, slot, admitted_at)
        VALUES (standing.key, standing.rule_id, standing.head % standing.capacity, moment)
        ON CONFLICT (key, rule_id, slot) DO UPDATE SET admitted_at = excluded.admitted_at;
    standing.head := standing.head + 1;
    UPDATE rate_limit_buckets AS b SET head = standing.head, tail = standing.tail
        WHERE b.key = standing.key AND b.rule_id = standing.rule_id;
END $$;

-- How many admissions of a window rule's key are in the window now, and when the oldest leaves it. Takes no lock.
CREATE FUNCTION rate_limit_used(of_key text, of_rule_id bigint, OUT used bigint, OUT resets_at timestamptz)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    standing rate_limit_standing;
    span interval;
BEGIN
    SELECT b.key, b.rule_id, b.head, b.tail, b.capacity, rate_limit_window(c.limit_type)
        INTO standing.key, standing.rule_id, standing.head, standing.tail, standing.capacity, span
        FROM rate_limit_buckets AS b JOIN rate_limit_configs AS c ON c.id = b.rule_id
        WHERE b.key = of_key AND b.rule_id = of_rule_id;
    standing.tail := rate_limit_expire(standing, clock_timestamp() - span);
    used := standing.head - standing.tail;
    IF used > 0 THEN
        resets_at := rate_limit_admitted_at(standing, standing.tail) + span;
    END IF;
END $$;

-- Decide one request of `principal_scope`:`principal_value` for `resource`, and count it.
-- Gives where every rule that applies stands: none, no limit. The request is admitted if all rules admit it;
-- otherwise nothing is consumed and each rule that refuses records a violation.
-- Locks are taken in the order of rule ids, and the clock is read when all are held: the times in a ring never
-- run backwards against the order of admission.
CREATE FUNCTION rate_limit_check(principal_scope text, principal_value text, resource text)
RETURNS SETOF rate_limit_standing LANGUAGE plpgsql AS $$
DECLARE
    standing rate_limit_standing;
    standings rate_limit_standing[] := '{}';
    moment timestamptz;
    all_admit boolean := true;
BEGIN
    FOR standing IN
        SELECT c.id, c.rule_name, c.scope, c.limit_type, c.limit_value,
            CASE c.scope WHEN 'global' THEN 'global' ELSE principal_scope || ':' || principal_value END
        FROM rate_limit_configs AS c
        WHERE c.enabled AND (c.resource_type IS NULL OR c.resource_type = resource)
            AND (c.scope = 'global'
                 OR (c.scope = principal_scope AND (c.scope_value IS NULL OR c.scope_value = principal_value)))
        ORDER BY c.id
    LOOP
        IF rate_limit_window(standing.limit_type) IS NULL THEN
            PERFORM rate_limit_lock_quota(standing);
        ELSE
            standing := rate_limit_lock_bucket(standing);
        END IF;
        standings := standings || standing;
    END LOOP;

    moment := clock_timestamp();
    FOR i IN 1 .. cardinality(standings) LOOP
        standing := standings[i];
        standing.checked_at := moment;
        standings[i] := CASE WHEN standing.capacity IS NULL THEN rate_limit_weigh_quota(standing, moment)
                             ELSE rate_limit_weigh_window(standing, moment) END;
        all_admit := all_admit AND (standings[i]).admitted;
    END LOOP;

    FOREACH standing IN ARRAY standings LOOP
        IF all_admit THEN
            standing := rate_limit_consume(standing, moment);
        ELSIF NOT standing.admitted THEN
            INSERT INTO rate_limit_violations AS v (rule_id, key, resource_type, occurred_at, last_at)
                VALUES (standing.rule_id, standing.key, resource, date_trunc('second', moment), moment)
                ON CONFLICT (key, rule_id, occurred_at) DO UPDATE SET hits = v.hits + 1, last_at = excluded.last_at;
        END IF;
        RETURN NEXT standing;
    END LOOP;
END $$;

-- Upkeep -----------------------------------------------------------------------------------------

-- Forget the buckets of keys that have been idle: nothing of their ring has been in the window for `grace`.
-- Looks at `batch` buckets after (after_key, after_rule_id) and gives back where it stopped, NULL at the end.
-- A bucket is deleted under its row lock only, after a new look at its ring; one that is locked is in use.
CREATE FUNCTION rate_limit_forget_idle(
    INOUT after_key text, INOUT after_rule_id bigint, batch bigint, grace interval, OUT forgotten bigint
) LANGUAGE plpgsql AS $$
DECLARE
    bucket record;
    looked bigint := 0;
BEGIN
    forgotten := 0;
    FOR bucket IN
        SELECT b.key, b.rule_id, (b.head - 1 + b.capacity) % b.capacity AS newest,
            clock_timestamp() - rate_limit_window(c.limit_type) - grace AS cutoff
        FROM rate_limit_buckets AS b JOIN rate_limit_configs AS c ON c.id = b.rule_id
        WHERE (b.key, b.rule_id) > (after_key, after_rule_id) ORDER BY b.key, b.rule_id LIMIT batch
    LOOP
        looked := looked + 1;
        after_key := bucket.key;
        after_rule_id := bucket.rule_id;
        CONTINUE WHEN EXISTS (
            SELECT FROM rate_limit_ring AS r WHERE r.key = bucket.key AND r.rule_id = bucket.rule_id
                AND r.slot = bucket.newest AND r.admitted_at > bucket.cutoff
        );
        PERFORM FROM rate_limit_buckets AS b
            WHERE b.key = bucket.key AND b.rule_id = bucket.rule_id FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        DELETE FROM rate_limit_buckets AS b
            WHERE b.key = bucket.key AND b.rule_id = bucket.rule_id AND NOT EXISTS (
                SELECT FROM rate_limit_ring AS r
                WHERE r.key = b.key AND r.rule_id = b.rule_id AND r.admitted_at > bucket.cutoff
            );
        forgotten := forgotten + FOUND::int;
    END LOOP;
    IF looked < batch THEN
        after_key := NULL;
        after_rule_id := NULL;
    END IF;
END $$;

-- For rehearsals: what was admitted, with times that can be moved. Move all rows of a key and rule by the same
-- interval. A quota has one row, its newest admission: moving that moves the period it was counted in.
CREATE VIEW rate_limit_admissions (key, rule_id, admitted_at, slot) AS
    SELECT r.key, r.rule_id, r.admitted_at, r.slot FROM rate_limit_ring AS r
    UNION ALL
    SELECT q.key, q.rule_id, q.last_at, NULL FROM resource_quotas AS q WHERE q.used > 0;

CREATE FUNCTION rate_limit_admission_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.key, NEW.rule_id, NEW.slot) IS DISTINCT FROM (OLD.key, OLD.rule_id, OLD.slot) THEN
        RAISE EXCEPTION 'rate_limit_admissions: only admitted_at can be changed';
    END IF;
    UPDATE rate_limit_ring AS r SET admitted_at = NEW.admitted_at
        WHERE r.key = OLD.key AND r.rule_id = OLD.rule_id AND r.slot = OLD.slot;
    UPDATE resource_quotas AS q
        SET last_at = NEW.admitted_at, period_start = rate_limit_period_start(c.limit_type, NEW.admitted_at)
        FROM rate_limit_configs AS c
        WHERE OLD.slot IS NULL AND q.key = OLD.key AND q.rule_id = OLD.rule_id AND c.id = q.rule_id;
    RETURN NEW;
END $$;

CREATE TRIGGER rate_limit_admission_moved INSTEAD OF UPDATE ON rate_limit_admissions
    FOR EACH ROW EXECUTE FUNCTION rate_limit_admission_moved();

-- Default rules ----------------------------------------------------------------------------------
-- Fifty anonymous requests in a burst meet the first; a person clicking meets none.

INSERT INTO rate_limit_configs (rule_name, scope, limit_type, limit_value) VALUES
    ('default-ip-second', 'ip', 'requests_per_second', 10),
    ('default-ip-minute', 'ip', 'requests_per_minute', 300),
    ('default-ip-hour', 'ip', 'requests_per_hour', 10000),
    ('default-global-second', 'global', 'requests_per_second', 1000);
