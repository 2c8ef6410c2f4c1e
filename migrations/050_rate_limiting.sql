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

-- One row per key and rule: the lock of that key, and the ring's pointers. Admissions that one batch decides have one
-- time and make one run. Run number r (0, 1, ...) stands in slot r % capacity; those from tail to head - 1 are in the
-- window, as far as was looked. The ring doubles when all of it is in the window. So it never forgets an admission
-- that counts, whatever becomes of the limit, and keeps at most twice as many rows as were ever admitted in one window.
CREATE TABLE rate_limit_buckets (
    key text COLLATE "C" NOT NULL,
    rule_id bigint NOT NULL REFERENCES rate_limit_configs (id) ON DELETE CASCADE,
    head bigint NOT NULL DEFAULT 0,     -- runs so far
    tail bigint NOT NULL DEFAULT 0,     -- the oldest run that had not left the window
    capacity bigint NOT NULL DEFAULT 8,
    admitted bigint NOT NULL DEFAULT 0, -- admissions so far
    last_at timestamptz NOT NULL DEFAULT '-infinity',  -- the newest admission
    PRIMARY KEY (key, rule_id),
    CONSTRAINT rate_limit_buckets_pointers_check CHECK (
        0 <= tail AND tail <= head AND head <= admitted AND capacity >= 1
    )
) WITH (fillfactor = 70);               -- room for in-page updates

CREATE INDEX rate_limit_buckets_rule_id_idx ON rate_limit_buckets (rule_id, key);  -- the order of the list of usage

-- The ring itself, overwritten in place.
CREATE TABLE rate_limit_ring (
    key text COLLATE "C" NOT NULL,
    rule_id bigint NOT NULL,
    slot bigint NOT NULL,
    admitted_at timestamptz NOT NULL,
    before bigint NOT NULL,             -- admissions before this run
    PRIMARY KEY (key, rule_id, slot)
) WITH (fillfactor = 70);

-- A ring goes with its bucket. No foreign key: it would look the bucket up at every admission, and who writes to a ring
-- holds its bucket's lock anyway.
CREATE FUNCTION rate_limit_buckets_deleted() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
BEGIN
    DELETE FROM rate_limit_ring AS r USING gone WHERE r.key = gone.key AND r.rule_id = gone.rule_id;
    RETURN NULL;
END $$;

CREATE TRIGGER rate_limit_buckets_deleted AFTER DELETE ON rate_limit_buckets
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rate_limit_buckets_deleted();

-- Quotas -----------------------------------------------------------------------------------------

-- The running period of each key and quota rule, and the lock of that key.
CREATE TABLE resource_quotas (
    key text COLLATE "C" NOT NULL,
    rule_id bigint NOT NULL REFERENCES rate_limit_configs (id) ON DELETE CASCADE,
    period_start timestamptz NOT NULL DEFAULT '-infinity',
    used bigint NOT NULL DEFAULT 0,
    last_at timestamptz NOT NULL DEFAULT '-infinity',  -- the newest admission
    PRIMARY KEY (key, rule_id),
    CONSTRAINT resource_quotas_used_check CHECK (used >= 0)
) WITH (fillfactor = 70);

CREATE INDEX resource_quotas_rule_id_idx ON resource_quotas (rule_id, key);
CREATE INDEX resource_quotas_period_start_idx ON resource_quotas (rule_id, period_start);  -- periods to be closed

-- The periods that are over: written when the key asks again or by the upkeep, whichever comes first.
CREATE TABLE resource_consumption (
    key text COLLATE "C" NOT NULL,
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
    key text COLLATE "C" NOT NULL,
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
--
-- A *counter* is one rule's count for one key: a bucket of a window rule, or a quota. Many requests are decided
-- by one call, in their order, as if each came alone: the arrays below hold the counters that the batch touches
-- (numbered 1.. in the order of locks: windows, then quotas, each by key and rule) and its *standings*, one for
-- each request and counter. Rows are read and written a set at a time; only the decisions are a loop.

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

-- The oldest run after `cutoff`, `head` if there is none: most often the tail or the one after it, so gallop, then bisect.
CREATE FUNCTION rate_limit_tail(
    of_key text, of_rule_id bigint, tail bigint, head bigint, capacity bigint, cutoff timestamptz
) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    expired bigint := tail - 1;  -- all up to here have left the window
    inside bigint := head;       -- all from here are in it
    step bigint := 1;
    probe bigint;
    moment timestamptz;
BEGIN
    WHILE inside - expired > 1 LOOP
        probe := least(expired + step, (expired + inside) / 2 + 1, inside - 1);
        SELECT r.admitted_at INTO moment FROM rate_limit_ring AS r
            WHERE r.key = of_key AND r.rule_id = of_rule_id AND r.slot = probe % capacity;
        IF moment <= cutoff THEN
            expired := probe;
            step := step * 2;
        ELSE
            inside := probe;
        END IF;
    END LOOP;
    RETURN inside;
END $$;

-- When admission `number` (0, 1, ...) was: the time of the last run that begins at or before it.
CREATE FUNCTION rate_limit_admitted_at(
    of_key text, of_rule_id bigint, tail bigint, head bigint, capacity bigint, number bigint
) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
DECLARE
    low bigint := tail;
    high bigint := head;
    probe bigint;
    first bigint;
    moment timestamptz;
    found_at timestamptz;
BEGIN
    WHILE low < high LOOP
        probe := (low + high) / 2;
        SELECT r.before, r.admitted_at INTO first, moment FROM rate_limit_ring AS r
            WHERE r.key = of_key AND r.rule_id = of_rule_id AND r.slot = probe % capacity;
        IF first <= number THEN
            found_at := moment;
            low := probe + 1;
        ELSE
            high := probe;
        END IF;
    END LOOP;
    RETURN found_at;
END $$;

-- Double the ring: a run stays in its slot or moves up by the old capacity, as its number has it.
CREATE FUNCTION rate_limit_grow(of_key text, of_rule_id bigint, head bigint, old bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    first bigint := head - old;  -- the oldest run in the ring
BEGIN
    UPDATE rate_limit_ring AS r SET slot = r.slot + old
        WHERE r.key = of_key AND r.rule_id = of_rule_id
            AND (first + ((r.slot - first) % old + old) % old) % (2 * old) >= old;
    UPDATE rate_limit_buckets AS b SET capacity = 2 * old WHERE b.key = of_key AND b.rule_id = of_rule_id;
END $$;

-- How many admissions of a window rule's key are in the window now, and when the oldest leaves it. Takes no lock.
CREATE FUNCTION rate_limit_used(of_key text, of_rule_id bigint, OUT used bigint, OUT resets_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT coalesce(b.admitted - r.before, 0), r.admitted_at + w.span
    FROM rate_limit_buckets AS b
        JOIN rate_limit_configs AS c ON c.id = b.rule_id
        CROSS JOIN LATERAL (SELECT rate_limit_window(c.limit_type) AS span) AS w
        CROSS JOIN LATERAL (
            SELECT rate_limit_tail(b.key, b.rule_id, b.tail, b.head, b.capacity, clock_timestamp() - w.span) AS tail
        ) AS t
        LEFT JOIN rate_limit_ring AS r
            ON r.key = b.key AND r.rule_id = b.rule_id AND r.slot = t.tail % b.capacity AND t.tail < b.head
    WHERE b.key = of_key AND b.rule_id = of_rule_id
$$;

-- Which counters each request of a batch touches.
CREATE FUNCTION rate_limit_applying(scopes text[], names text[], resources text[])
RETURNS TABLE (request bigint, counter bigint, key text, rule_id bigint, rule_name text, scope text, limit_type text,
    limit_value bigint)
LANGUAGE sql STABLE AS $$
    SELECT a.request, dense_rank() OVER (ORDER BY rate_limit_window(c.limit_type) IS NULL, k.key, c.id), k.key, c.id,
        c.rule_name, c.scope, c.limit_type, c.limit_value
    FROM unnest(scopes, names, resources) WITH ORDINALITY AS a (scope, name, resource, request)
        CROSS JOIN LATERAL (
            SELECT g.* FROM rate_limit_configs AS g WHERE g.enabled AND g.scope = 'global'
            UNION ALL
            SELECT s.* FROM rate_limit_configs AS s WHERE s.enabled AND s.scope = a.scope AND s.scope_value IS NULL
            UNION ALL
            SELECT v.* FROM rate_limit_configs AS v WHERE v.enabled AND v.scope = a.scope AND v.scope_value = a.name
        ) AS c
        CROSS JOIN LATERAL (
            SELECT CASE c.scope WHEN 'global' THEN 'global' ELSE a.scope || ':' || a.name END COLLATE "C" AS key
        ) AS k
    WHERE c.resource_type IS NULL OR c.resource_type = a.resource
$$;

-- Lock the buckets of (key, rule), made if need be, in their order, and read them. Locks are taken in one order by
-- everybody, and rows are made before any is locked, so nobody waits in a circle.
CREATE FUNCTION rate_limit_lock_windows(
    keys text[], rule_ids bigint[],
    OUT heads bigint[], OUT tails bigint[], OUT capacities bigint[], OUT totals bigint[], OUT newest timestamptz[]
) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rate_limit_buckets (key, rule_id)
        SELECT c.key, c.rule_id FROM unnest(keys, rule_ids) AS c (key, rule_id)
        WHERE NOT EXISTS (SELECT FROM rate_limit_buckets AS b WHERE b.key = c.key AND b.rule_id = c.rule_id)
        ON CONFLICT DO NOTHING;
    SELECT array_agg(b.head ORDER BY b.n), array_agg(b.tail ORDER BY b.n), array_agg(b.capacity ORDER BY b.n),
            array_agg(b.admitted ORDER BY b.n), array_agg(b.last_at ORDER BY b.n)
        INTO heads, tails, capacities, totals, newest
        FROM (
            SELECT c.n, b.head, b.tail, b.capacity, b.admitted, b.last_at
            FROM unnest(keys, rule_ids) WITH ORDINALITY AS c (key, rule_id, n)
                JOIN rate_limit_buckets AS b ON b.key = c.key AND b.rule_id = c.rule_id
            ORDER BY c.n FOR UPDATE OF b
        ) AS b;
    PERFORM rate_limit_all_locked(cardinality(keys), cardinality(heads));
END $$;

-- Lock the quotas of (key, rule), made if need be, in their order.
CREATE FUNCTION rate_limit_lock_quotas(keys text[], rule_ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    locked bigint;
BEGIN
    INSERT INTO resource_quotas (key, rule_id)
        SELECT c.key, c.rule_id FROM unnest(keys, rule_ids) AS c (key, rule_id)
        WHERE NOT EXISTS (SELECT FROM resource_quotas AS q WHERE q.key = c.key AND q.rule_id = c.rule_id)
        ON CONFLICT DO NOTHING;
    SELECT count(*) INTO locked FROM (
        SELECT FROM unnest(keys, rule_ids) WITH ORDINALITY AS c (key, rule_id, n)
            JOIN resource_quotas AS q ON q.key = c.key AND q.rule_id = c.rule_id
        ORDER BY c.n FOR UPDATE OF q
    ) AS q;
    PERFORM rate_limit_all_locked(cardinality(keys), locked);
END $$;

-- A rule that changes its kind or goes takes its counters along: then the whole batch is decided anew.
CREATE FUNCTION rate_limit_all_locked(wanted bigint, locked bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF locked IS DISTINCT FROM wanted THEN
        RAISE EXCEPTION 'a rule changed meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
END $$;

-- How many admissions of each bucket are in its window at its time, and when the oldest was.
CREATE FUNCTION rate_limit_weigh_windows(
    keys text[], rule_ids bigint[], spans interval[], heads bigint[], capacities bigint[], totals bigint[],
    times timestamptz[], INOUT tails bigint[], OUT used bigint[], OUT oldest timestamptz[]
) LANGUAGE sql STABLE AS $$
    SELECT array_agg(t.tail ORDER BY c.n), array_agg(coalesce(c.total - f.before, 0) ORDER BY c.n),
        array_agg(f.admitted_at ORDER BY c.n)
    FROM unnest(keys, rule_ids, spans, heads, tails, capacities, totals, times) WITH ORDINALITY
            AS c (key, rule_id, span, head, tail, capacity, total, moment, n)
        LEFT JOIN rate_limit_ring AS r
            ON r.key = c.key AND r.rule_id = c.rule_id AND r.slot = c.tail % c.capacity AND c.tail < c.head
        CROSS JOIN LATERAL (SELECT CASE
            WHEN r.admitted_at > c.moment - c.span THEN c.tail
            ELSE rate_limit_tail(c.key, c.rule_id, c.tail, c.head, c.capacity, c.moment - c.span)
        END AS tail) AS t
        LEFT JOIN rate_limit_ring AS f
            ON f.key = c.key AND f.rule_id = c.rule_id AND f.slot = t.tail % c.capacity AND t.tail < c.head
$$;

-- How much of each quota's running period is used, and how long the period lasts. Periods that are over are closed.
CREATE FUNCTION rate_limit_weigh_quotas(
    keys text[], rule_ids bigint[], limit_types text[], moment timestamptz,
    OUT used bigint[], OUT times timestamptz[], OUT ends timestamptz[]
) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO resource_consumption AS past (key, rule_id, period_start, used, closed_at)
        SELECT q.key, q.rule_id, q.period_start, q.used, moment
        FROM unnest(keys, rule_ids, limit_types) AS c (key, rule_id, limit_type)
            JOIN resource_quotas AS q ON q.key = c.key AND q.rule_id = c.rule_id
        WHERE q.period_start <> rate_limit_period_start(c.limit_type, greatest(moment, q.last_at)) AND q.used > 0
        ON CONFLICT (key, rule_id, period_start)
            DO UPDATE SET used = past.used + excluded.used, closed_at = excluded.closed_at;
    UPDATE resource_quotas AS q
        SET period_start = rate_limit_period_start(c.limit_type, greatest(moment, q.last_at)), used = 0
        FROM unnest(keys, rule_ids, limit_types) AS c (key, rule_id, limit_type)
        WHERE q.key = c.key AND q.rule_id = c.rule_id
            AND q.period_start <> rate_limit_period_start(c.limit_type, greatest(moment, q.last_at));
    SELECT array_agg(q.used ORDER BY c.n), array_agg(greatest(moment, q.last_at) ORDER BY c.n),
            array_agg(rate_limit_period_end(c.limit_type, greatest(moment, q.last_at)) ORDER BY c.n)
        INTO used, times, ends
        FROM unnest(keys, rule_ids, limit_types) WITH ORDINALITY AS c (key, rule_id, limit_type, n)
            JOIN resource_quotas AS q ON q.key = c.key AND q.rule_id = c.rule_id;
END $$;

-- Count the admissions of a batch in its windows: one run each, as they have one time.
CREATE FUNCTION rate_limit_consume_windows(
    keys text[], rule_ids bigint[], heads bigint[], tails bigint[], capacities bigint[], totals bigint[],
    times timestamptz[], counts bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR n IN 1 .. cardinality(keys) LOOP
        IF counts[n] > 0 AND heads[n] - tails[n] >= capacities[n] THEN
            PERFORM rate_limit_grow(keys[n], rule_ids[n], heads[n], capacities[n]);
            capacities[n] := 2 * capacities[n];
        END IF;
    END LOOP;
    INSERT INTO rate_limit_ring AS r (key, rule_id, slot, admitted_at, before)
        SELECT c.key, c.rule_id, c.head % c.capacity, c.moment, c.total
        FROM unnest(keys, rule_ids, heads, capacities, totals, times, counts)
            AS c (key, rule_id, head, capacity, total, moment, count)
        WHERE c.count > 0
        ON CONFLICT (key, rule_id, slot) DO UPDATE SET admitted_at = excluded.admitted_at, before = excluded.before;
    UPDATE rate_limit_buckets AS b
        SET head = c.head + 1, tail = c.tail, admitted = c.total + c.count, last_at = c.moment
        FROM unnest(keys, rule_ids, heads, tails, totals, times, counts)
            AS c (key, rule_id, head, tail, total, moment, count)
        WHERE c.count > 0 AND b.key = c.key AND b.rule_id = c.rule_id;
END $$;

-- When a full window admits again: when the admission in the way has left. For those that refused (`hits`).
CREATE FUNCTION rate_limit_blocked_until(
    keys text[], rule_ids bigint[], spans interval[], heads bigint[], tails bigint[], capacities bigint[],
    totals bigint[], times timestamptz[], counts bigint[], hits bigint[], limits bigint[]
) RETURNS timestamptz[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(c.span + CASE
            WHEN c.hits = 0 THEN NULL
            WHEN c.total + c.count - c.max >= c.total THEN c.moment  -- it was admitted just now, or the limit is 0
            ELSE rate_limit_admitted_at(
                c.key, c.rule_id, c.tail, c.head, c.capacity, c.total + c.count - c.max)
        END ORDER BY c.n)
    FROM unnest(keys, rule_ids, spans, heads, tails, capacities, totals, times, counts, hits, limits) WITH ORDINALITY
        AS c (key, rule_id, span, head, tail, capacity, total, moment, count, hits, max, n)
$$;

CREATE FUNCTION rate_limit_us(span interval) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (extract(epoch FROM span) * 1000000)::bigint
$$;

-- Decide the requests of a batch, in their order, and count them. Request i is of principal scopes[i]:names[i] for
-- resources[i]. It is admitted if all rules that apply admit it; otherwise nothing is consumed, and each rule that
-- refuses records a violation. With `learning`, the limits of user rules go by the user's reputation, which learns
-- from each request before the next is decided: see migration 050_phase2_reputation, without which nobody may ask for it.
--
-- `at` is the time of decision; NULL, and nothing else on a live server: the clock, read once all locks are held.
-- A key's time never runs backwards: when the clock does, the key waits at its newest admission.
--
-- Gives the counters (rule_ids to blocked_us) and the standings (requests to remaining), ordered by request and rule:
-- `counters` are places in the former. Times are microseconds after checked_at: free_us when `remaining` grows next,
-- blocked_us when a refused request would be admitted.
CREATE FUNCTION rate_limit_check(
    scopes text[], names text[], resources text[], learning boolean DEFAULT false, at timestamptz DEFAULT NULL,
    OUT checked_at timestamptz,
    OUT rule_ids bigint[], OUT rule_names text[], OUT rule_scopes text[], OUT limit_types text[],
    OUT free_us bigint[], OUT blocked_us bigint[],
    OUT requests bigint[], OUT counters bigint[], OUT admitted boolean[], OUT limits bigint[], OUT remaining bigint[]
) LANGUAGE plpgsql
-- its plans are made once, when tables may be small, and kept: every row is looked up by its key
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    -- of counters
    keys text[]; spans interval[]; maximum bigint[]; used bigint[]; counts bigint[]; hits bigint[]; first_hit bigint[];
    oldest timestamptz[]; times timestamptz[]; ends timestamptz[]; blocked timestamptz[];
    -- of windows
    heads bigint[]; tails bigint[]; capacities bigint[]; totals bigint[];
    windows bigint;
    quotas bigint;
    quota_used bigint[]; quota_times timestamptz[];
    -- of users, numbered 1.. in the order of locks; only with `learning`
    users text[]; scores bigint[]; vips boolean[]; cleans bigint[];
    asking bigint[];    -- of requests: their user, NULL for anybody else
    owners bigint[];    -- of counters of user rules: their user
    base bigint[];      -- of counters: the limit before reputation
    learnt text[]; grave bigint[]; changes bigint[];  -- the events, one by one
    u bigint;
    worst bigint;
    change bigint;
    -- in the loop
    first bigint := 1;  -- the request's first standing
    after bigint;       -- the next request's
    c bigint;
    admits boolean;
    refused boolean := false;  -- whether any request was
BEGIN
    WITH applying AS MATERIALIZED (SELECT * FROM rate_limit_applying(scopes, names, resources))
    SELECT s.requests, s.counters, t.keys, t.spans, t.rule_ids, t.rule_names, t.rule_scopes, t.limit_types, t.maximum
    INTO requests, counters, keys, spans, rule_ids, rule_names, rule_scopes, limit_types, maximum
    FROM (
        SELECT array_agg(a.request ORDER BY a.request, a.rule_id) AS requests,
            array_agg(a.counter ORDER BY a.request, a.rule_id) AS counters
        FROM applying AS a
    ) AS s CROSS JOIN (
        SELECT array_agg(d.key ORDER BY d.counter) AS keys,
            array_agg(rate_limit_window(d.limit_type) ORDER BY d.counter) AS spans,
            array_agg(d.rule_id ORDER BY d.counter) AS rule_ids,
            array_agg(d.rule_name ORDER BY d.counter) AS rule_names,
            array_agg(d.scope ORDER BY d.counter) AS rule_scopes,
            array_agg(d.limit_type ORDER BY d.counter) AS limit_types,
            array_agg(d.limit_value ORDER BY d.counter) AS maximum
        FROM (SELECT DISTINCT ON (a.counter) a.* FROM applying AS a ORDER BY a.counter) AS d
    ) AS t;
    IF requests IS NULL THEN
        checked_at := coalesce(at, clock_timestamp());
        RETURN;
    END IF;
    windows := cardinality(array_remove(spans, NULL));
    quotas := cardinality(spans) - windows;

    IF windows > 0 THEN
        SELECT l.* INTO heads, tails, capacities, totals, times
            FROM rate_limit_lock_windows(keys[:windows], rule_ids[:windows]) AS l;
    END IF;
    IF quotas > 0 THEN
        PERFORM rate_limit_lock_quotas(keys[windows + 1:], rule_ids[windows + 1:]);
    END IF;
    checked_at := coalesce(at, clock_timestamp());
    IF windows > 0 THEN
        times := (SELECT array_agg(greatest(checked_at, t.newest) ORDER BY t.n)
                  FROM unnest(times) WITH ORDINALITY AS t (newest, n));
        SELECT w.* INTO tails, used, oldest FROM rate_limit_weigh_windows(
            keys[:windows], rule_ids[:windows], spans[:windows], heads, capacities, totals, times, tails) AS w;
    END IF;
    IF quotas > 0 THEN
        SELECT q.* INTO quota_used, quota_times, ends FROM rate_limit_weigh_quotas(
            keys[windows + 1:], rule_ids[windows + 1:], limit_types[windows + 1:], checked_at) AS q;
        used := used || quota_used;
        times := times || quota_times;
    END IF;

    IF learning THEN
        SELECT r.* INTO users, asking, owners FROM reputation_asked(scopes, names, keys, rule_scopes) AS r;
        SELECT r.* INTO scores, vips, cleans FROM reputation_lock(users) AS r;
        base := maximum;
        FOR n IN 1 .. cardinality(keys) LOOP
            u := owners[n];
            CONTINUE WHEN u IS NULL;
            maximum[n] := reputation_limit(base[n], reputation_tier(scores[u], vips[u]));
        END LOOP;
    END IF;

    counts := array_fill(0, ARRAY[cardinality(keys)]);
    hits := counts;
    first_hit := counts;
    admitted := array_fill(false, ARRAY[cardinality(requests)]);
    limits := array_fill(0, ARRAY[cardinality(requests)]);
    remaining := limits;
    WHILE first <= cardinality(requests) LOOP
        admits := true;
        after := first;
        WHILE requests[after] = requests[first] LOOP  -- beyond the last one: NULL
            c := counters[after];
            admitted[after] := used[c] < maximum[c];
            admits := admits AND admitted[after];
            after := after + 1;
        END LOOP;
        FOR s IN first .. after - 1 LOOP
            c := counters[s];
            IF admits THEN
                used[c] := used[c] + 1;
                counts[c] := counts[c] + 1;
            ELSIF NOT admitted[s] THEN
                hits[c] := hits[c] + 1;
                IF hits[c] = 1 THEN first_hit[c] := requests[s]; END IF;
            END IF;
            limits[s] := maximum[c];
            remaining[s] := greatest(maximum[c] - used[c], 0);
        END LOOP;
        IF learning AND asking[requests[first]] IS NOT NULL THEN
            u := asking[requests[first]];
            worst := 0;
            FOR s IN first .. after - 1 LOOP
                c := counters[s];
                IF owners[c] = u AND NOT admitted[s] THEN
                    worst := greatest(worst, reputation_severity(limit_types[c]));
                END IF;
            END LOOP;
            IF worst = 0 THEN
                cleans[u] := (cleans[u] + 1) % 100;
                change := CASE cleans[u] WHEN 0 THEN least(1, 100 - scores[u]) ELSE 0 END;
            ELSE
                change := -least(3 * worst, scores[u]);
            END IF;
            IF change <> 0 THEN
                scores[u] := scores[u] + change;
                learnt := learnt || users[u];
                grave := grave || nullif(worst, 0);
                changes := changes || change;
                FOR n IN 1 .. cardinality(keys) LOOP
                    IF owners[n] = u THEN
                        maximum[n] := reputation_limit(base[n], reputation_tier(scores[u], vips[u]));
                    END IF;
                END LOOP;
            END IF;
        END IF;
        refused := refused OR NOT admits;
        first := after;
    END LOOP;

    IF learning THEN
        PERFORM reputation_learn(users, scores, cleans, learnt, grave, changes, checked_at);
    END IF;
    IF windows > 0 AND refused THEN
        blocked := rate_limit_blocked_until(
            keys[:windows], rule_ids[:windows], spans[:windows], heads, tails, capacities, totals,
            times[:windows], counts[:windows], hits[:windows], maximum[:windows]);
    END IF;
    IF windows > 0 THEN
        PERFORM rate_limit_consume_windows(
            keys[:windows], rule_ids[:windows], heads, tails, capacities, totals, times[:windows], counts[:windows]);
    END IF;
    IF quotas > 0 THEN
        UPDATE resource_quotas AS q SET used = q.used + n.count, last_at = n.moment
            FROM unnest(keys[windows + 1:], rule_ids[windows + 1:], counts[windows + 1:], times[windows + 1:])
                AS n (key, rule_id, count, moment)
            WHERE n.count > 0 AND q.key = n.key AND q.rule_id = n.rule_id;
    END IF;
    IF refused THEN
        INSERT INTO rate_limit_violations AS v (rule_id, key, resource_type, occurred_at, last_at, hits)
            SELECT h.rule_id, h.key, resources[h.first_hit], date_trunc('second', checked_at), checked_at, h.hits
            FROM unnest(keys, rule_ids, hits, first_hit) AS h (key, rule_id, hits, first_hit) WHERE h.hits > 0
            ON CONFLICT (key, rule_id, occurred_at)
                DO UPDATE SET hits = v.hits + excluded.hits, last_at = greatest(v.last_at, excluded.last_at);
    END IF;

    SELECT array_agg(t.free ORDER BY t.n), array_agg(coalesce(t.blocked, t.free) ORDER BY t.n)
        INTO free_us, blocked_us
        FROM (
            SELECT u.n, rate_limit_us(coalesce(u.oldest, u.moment) + u.span - checked_at) AS free,
                rate_limit_us(u.blocked - checked_at) AS blocked
            FROM unnest(oldest, times[:windows], spans[:windows], blocked) WITH ORDINALITY
                AS u (oldest, moment, span, blocked, n)
            WHERE windows > 0
            UNION ALL
            SELECT windows + u.n, rate_limit_us(u.period_end - checked_at), NULL
            FROM unnest(ends) WITH ORDINALITY AS u (period_end, n)
        ) AS t;
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
    UPDATE rate_limit_buckets AS b SET last_at = NEW.admitted_at
        WHERE b.key = OLD.key AND b.rule_id = OLD.rule_id AND OLD.slot = (b.head - 1) % b.capacity;
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
