-- Rate limiting: rules, the exact sliding windows and quotas that enforce them, and the records of decisions.
--
-- A rule applies to a key: 'global', or '<scope>:<value>' of the request's principal ('ip:192.0.2.7').
-- Window rules count admissions in a ring per (key, rule); quota rules count per calendar period (UTC).
-- Every table about a key leads with it, so that the tables can be sharded by key.
--
-- The runner applies each file in one transaction with a lock timeout, and every index is on a new table:
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
    -- HTTP headers contain it as a quoted string, so printable ASCII without quote and backslash
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

-- the lookup of a check: the enabled rules of a principal
CREATE INDEX rate_limit_configs_scope_idx ON rate_limit_configs (scope, coalesce(scope_value, '')) WHERE enabled;

-- Windows ----------------------------------------------------------------------------------------

-- One row per key and rule: the lock of that key, the ring's pointers, and the parts of the ring that most decisions
-- need. The admissions of one batch have one time and form one run. Run number r (0, 1, ...) is in slot r % capacity;
-- runs from tail to head - 1 were in the window when it was last examined. The ring doubles when all of it is in the
-- window. So it never loses an admission that counts, even if the limit changes, and keeps at most twice as many rows
-- as were ever admitted in one window.
CREATE TABLE rate_limit_buckets (
    key text COLLATE "C" NOT NULL,
    rule_id bigint NOT NULL REFERENCES rate_limit_configs (id) ON DELETE CASCADE,
    head bigint NOT NULL DEFAULT 0,     -- runs so far
    tail bigint NOT NULL DEFAULT 0,     -- the oldest run that had not left the window
    capacity bigint NOT NULL DEFAULT 8,
    admitted bigint NOT NULL DEFAULT 0, -- admissions so far
    last_at timestamptz NOT NULL DEFAULT '-infinity',  -- the newest admission
    oldest_at timestamptz NOT NULL DEFAULT '-infinity',  -- the run at the tail, copied from the ring
    oldest_before bigint NOT NULL DEFAULT 0,
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

-- A ring is deleted with its bucket. A foreign key would look the bucket up at every admission, and every writer of a
-- ring has its bucket's lock anyway.
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

-- The current period of each key and quota rule, and the lock of that key.
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

-- Finished periods: written at the key's next request or by the retention job, whichever comes first.
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

-- Records ----------------------------------------------------------------------------------------

-- Refused requests, one row per key, rule and second: a flood inserts one row a second, not one per request.
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

-- The load of each server process, about once a minute.
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

-- Alerts, one row from firing to resolving. All server processes share them: each reads and pushes the changes.
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

-- an alert fires once, whatever the number of processes that evaluate it
CREATE UNIQUE INDEX rate_limit_alerts_firing_idx ON rate_limit_alerts (name) WHERE resolved_at IS NULL;
CREATE INDEX rate_limit_alerts_fired_at_idx ON rate_limit_alerts (fired_at DESC, id DESC);

-- Changes of rules -------------------------------------------------------------------------------

-- A new limit_value keeps the counts. Changes of scope, value, type or resource make a new limit, which starts empty.
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

-- An API key that no rule names any more is no principal: its counts under other rules are deleted with its last rule.
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

-- Every server process listens: after any change of a rule, by any program, all read the rules again.
CREATE FUNCTION rate_limit_configs_announce() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('gaia_rules', '');
    RETURN NULL;
END $$;

CREATE TRIGGER rate_limit_configs_announce AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON rate_limit_configs
    FOR EACH STATEMENT EXECUTE FUNCTION rate_limit_configs_announce();

-- The limiter ------------------------------------------------------------------------------------
--
-- A *counter* is one rule's count for one key: a bucket of a window rule, or a quota. One call decides many requests,
-- in their order, as if each came alone: the arrays below contain the counters that the batch touches
-- (numbered 1.. in the order of locks: windows, then quotas, each by key and rule) and its *standings*, one for
-- each request and counter. Rows are read and written in sets; the steps in between are loops over arrays.
-- Functions of many statements are PL/pgSQL, which caches their plans; those of one expression are SQL, which is
-- inlined. None has a SET clause: it would cost every call more than it gains (see `gaia_server/limiting/decide.py`).

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

-- A period starts at midnight UTC; a week starts on Monday, as in ISO 8601.
CREATE FUNCTION rate_limit_period_start(limit_type text, moment timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT date_trunc(rate_limit_period(limit_type), moment, 'UTC')
$$;

CREATE FUNCTION rate_limit_period_end(limit_type text, moment timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT (rate_limit_period_start(limit_type, moment) AT TIME ZONE 'UTC'
            + ('1 ' || rate_limit_period(limit_type))::interval) AT TIME ZONE 'UTC'
$$;

-- The oldest run after `cutoff`, with its time and the admissions before it; `head` and NULL if there is none. Runs are
-- in the order of time, so most often it is the tail or the next run: an exponential search, then a binary search.
CREATE FUNCTION rate_limit_tail(
    of_key text, of_rule_id bigint, INOUT tail bigint, head bigint, capacity bigint, cutoff timestamptz,
    OUT oldest_at timestamptz, OUT oldest_before bigint
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    expired bigint := tail - 1;  -- all runs up to this one have left the window
    step bigint := 1;
    probe bigint;
    found record;
BEGIN
    tail := head;                -- all runs from this one on are in it
    WHILE tail - expired > 1 LOOP
        probe := least(expired + step, (expired + tail) / 2 + 1, tail - 1);
        SELECT r.admitted_at, r.before INTO found FROM rate_limit_ring AS r
            WHERE r.key = of_key AND r.rule_id = of_rule_id AND r.slot = probe % capacity;
        IF found.admitted_at <= cutoff THEN
            expired := probe;
            step := step * 2;
        ELSE
            tail := probe;
            oldest_at := found.admitted_at;
            oldest_before := found.before;
        END IF;
    END LOOP;
END $$;

-- The time of admission `number` (0, 1, ...): that of the last run that starts at or before it.
CREATE FUNCTION rate_limit_admitted_at(
    of_key text, of_rule_id bigint, tail bigint, head bigint, capacity bigint, number bigint
) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
DECLARE
    probe bigint;
    found record;
    found_at timestamptz;
BEGIN
    WHILE tail < head LOOP
        probe := (tail + head) / 2;
        SELECT r.before, r.admitted_at INTO found FROM rate_limit_ring AS r
            WHERE r.key = of_key AND r.rule_id = of_rule_id AND r.slot = probe % capacity;
        IF found.before <= number THEN
            found_at := found.admitted_at;
            tail := probe + 1;
        ELSE
            head := probe;
        END IF;
    END LOOP;
    RETURN found_at;
END $$;

-- Double the ring: a run stays in its slot or moves up by the old capacity, depending on its number.
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

-- The number of a key's admissions in a rule's window now, and the time when the oldest leaves it. Takes no lock.
CREATE FUNCTION rate_limit_used(of_key text, of_rule_id bigint, OUT used bigint, OUT resets_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT coalesce(b.admitted - t.oldest_before, 0), t.oldest_at + w.span
    FROM rate_limit_buckets AS b
        JOIN rate_limit_configs AS c ON c.id = b.rule_id
        CROSS JOIN LATERAL (SELECT rate_limit_window(c.limit_type) AS span) AS w
        CROSS JOIN LATERAL rate_limit_tail(b.key, b.rule_id, b.tail, b.head, b.capacity, clock_timestamp() - w.span) AS t
    WHERE b.key = of_key AND b.rule_id = of_rule_id
$$;

-- The counters that the requests of a batch touch: the enabled rules of scope global, of the principal's scope and of
-- the principal itself, for this resource or for all. `missing`: whether a counter has no row yet.
CREATE FUNCTION rate_limit_applying(
    scopes text[], names text[], resources text[],
    OUT requests bigint[], OUT counters bigint[], OUT keys text[], OUT rule_ids bigint[], OUT rule_names text[],
    OUT rule_scopes text[], OUT limit_types text[], OUT maximum bigint[], OUT spans interval[], OUT missing boolean
) LANGUAGE plpgsql STABLE AS $$
BEGIN
    WITH applying AS MATERIALIZED (
        SELECT a.request, c.*, k.key, rate_limit_window(c.limit_type) AS span,
            dense_rank() OVER (ORDER BY rate_limit_window(c.limit_type) IS NULL, k.key, c.id) AS counter
        FROM unnest(scopes, names, resources) WITH ORDINALITY AS a (scope, name, resource, request)
            JOIN rate_limit_configs AS c ON c.enabled AND c.scope = ANY (ARRAY['global', a.scope])
                AND coalesce(c.scope_value, '') = ANY (ARRAY['', a.name])
            CROSS JOIN LATERAL (
                SELECT CASE c.scope WHEN 'global' THEN 'global' ELSE a.scope || ':' || a.name END COLLATE "C" AS key
            ) AS k
        WHERE c.resource_type IS NULL OR c.resource_type = a.resource
    )
    SELECT s.*, d.* INTO requests, counters, keys, rule_ids, rule_names, rule_scopes, limit_types, maximum, spans, missing
    FROM (
        SELECT array_agg(a.request), array_agg(a.counter)
        FROM (SELECT request, counter FROM applying ORDER BY request, id) AS a
    ) AS s CROSS JOIN (
        SELECT array_agg(c.key), array_agg(c.id), array_agg(c.rule_name), array_agg(c.scope),
            array_agg(c.limit_type), array_agg(c.limit_value), array_agg(c.span),
            bool_or(CASE WHEN c.span IS NULL
                THEN NOT EXISTS (SELECT FROM resource_quotas AS q WHERE q.key = c.key AND q.rule_id = c.id)
                ELSE NOT EXISTS (SELECT FROM rate_limit_buckets AS b WHERE b.key = c.key AND b.rule_id = c.id)
            END)
        FROM (SELECT DISTINCT ON (counter) * FROM applying ORDER BY counter) AS c
    ) AS d;
END $$;

-- Insert the missing rows of counters. Nothing is locked yet, so this cannot deadlock.
CREATE FUNCTION rate_limit_make(keys text[], rule_ids bigint[], spans interval[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rate_limit_buckets (key, rule_id)
        SELECT c.key, c.rule_id FROM unnest(keys, rule_ids, spans) AS c (key, rule_id, span) WHERE c.span IS NOT NULL
        ON CONFLICT DO NOTHING;
    INSERT INTO resource_quotas (key, rule_id)
        SELECT c.key, c.rule_id FROM unnest(keys, rule_ids, spans) AS c (key, rule_id, span) WHERE c.span IS NULL
        ON CONFLICT DO NOTHING;
END $$;

-- Lock buckets in the given order, which every session uses, and read the locked rows.
-- A changed limit type or a deleted rule deletes its counters: then the whole batch is decided again.
CREATE FUNCTION rate_limit_lock_windows(
    keys text[], rule_ids bigint[], OUT heads bigint[], OUT tails bigint[], OUT capacities bigint[], OUT totals bigint[],
    OUT times timestamptz[], OUT oldest timestamptz[], OUT befores bigint[]
) LANGUAGE plpgsql AS $$
BEGIN
    SELECT coalesce(array_agg(b.head), '{}'), coalesce(array_agg(b.tail), '{}'), coalesce(array_agg(b.capacity), '{}'),
            coalesce(array_agg(b.admitted), '{}'), coalesce(array_agg(b.last_at), '{}'),
            coalesce(array_agg(b.oldest_at), '{}'), coalesce(array_agg(b.oldest_before), '{}')
        INTO heads, tails, capacities, totals, times, oldest, befores
        FROM (
            SELECT b.* FROM unnest(keys, rule_ids) WITH ORDINALITY AS c (key, rule_id, n)
                JOIN rate_limit_buckets AS b ON b.key = c.key AND b.rule_id = c.rule_id
            ORDER BY c.n FOR UPDATE OF b
        ) AS b;
    IF cardinality(heads) IS DISTINCT FROM cardinality(keys) THEN
        RAISE EXCEPTION 'a rule changed meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
END $$;

-- The same for quotas.
CREATE FUNCTION rate_limit_lock_quotas(
    keys text[], rule_ids bigint[], OUT used bigint[], OUT times timestamptz[], OUT starts timestamptz[]
) LANGUAGE plpgsql AS $$
BEGIN
    IF keys = '{}' THEN
        RETURN;
    END IF;
    SELECT array_agg(q.used), array_agg(q.last_at), array_agg(q.period_start) INTO used, times, starts
        FROM (
            SELECT q.* FROM unnest(keys, rule_ids) WITH ORDINALITY AS c (key, rule_id, n)
                JOIN resource_quotas AS q ON q.key = c.key AND q.rule_id = c.rule_id
            ORDER BY c.n FOR UPDATE OF q
        ) AS q;
    IF cardinality(used) IS DISTINCT FROM cardinality(keys) THEN
        RAISE EXCEPTION 'a rule changed meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
END $$;

-- For each bucket: the number of admissions in its window at its time, the time of the oldest (NULL: none) and when it
-- leaves. The bucket has its newest and oldest run: the ring is read only when the oldest leaves before the newest.
CREATE FUNCTION rate_limit_weigh_windows(
    keys text[], rule_ids bigint[], spans interval[], heads bigint[], capacities bigint[], totals bigint[],
    moment timestamptz,
    INOUT tails bigint[], INOUT times timestamptz[], INOUT oldest timestamptz[], INOUT befores bigint[],
    OUT used bigint[], OUT ends timestamptz[]
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    newest timestamptz;
    cutoff timestamptz;
    t record;
BEGIN
    used := totals;
    ends := times;
    FOR n IN 1 .. cardinality(heads) LOOP
        newest := times[n];
        times[n] := greatest(moment, newest);
        cutoff := times[n] - spans[n];
        IF newest <= cutoff THEN
            tails[n] := heads[n];
            oldest[n] := NULL;
            befores[n] := totals[n];
        ELSIF oldest[n] <= cutoff THEN
            t := rate_limit_tail(keys[n], rule_ids[n], tails[n], heads[n], capacities[n], cutoff);
            tails[n] := t.tail;
            oldest[n] := t.oldest_at;
            befores[n] := t.oldest_before;
        END IF;
        used[n] := totals[n] - befores[n];
        ends[n] := coalesce(oldest[n], times[n]) + spans[n];
    END LOOP;
END $$;

-- The end of the current period of each quota, at its time. A finished period is closed first.
CREATE FUNCTION rate_limit_weigh_quotas(
    keys text[], rule_ids bigint[], limit_types text[], starts timestamptz[], moment timestamptz,
    INOUT used bigint[], INOUT times timestamptz[], OUT ends timestamptz[]
) LANGUAGE plpgsql AS $$
DECLARE
    start timestamptz;
BEGIN
    FOR n IN 1 .. cardinality(keys) LOOP
        times[n] := greatest(moment, times[n]);
        start := rate_limit_period_start(limit_types[n], times[n]);
        ends[n] := rate_limit_period_end(limit_types[n], times[n]);
        CONTINUE WHEN start = starts[n];
        INSERT INTO resource_consumption AS past (key, rule_id, period_start, used, closed_at)
            SELECT keys[n], rule_ids[n], starts[n], used[n], moment WHERE used[n] > 0
            ON CONFLICT (key, rule_id, period_start)
                DO UPDATE SET used = past.used + excluded.used, closed_at = excluded.closed_at;
        UPDATE resource_quotas AS q SET period_start = start, used = 0
            WHERE q.key = keys[n] AND q.rule_id = rule_ids[n];
        used[n] := 0;
    END LOOP;
END $$;

-- Count the admissions of a batch in its windows: one run per window, because they have one time. `used` is the number
-- of admissions in the window afterwards; the caller has locked the rows.
CREATE FUNCTION rate_limit_consume_windows(
    keys text[], rule_ids bigint[], heads bigint[], tails bigint[], capacities bigint[], totals bigint[],
    times timestamptz[], oldest timestamptz[], befores bigint[], used bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR n IN 1 .. cardinality(heads) LOOP
        IF heads[n] - tails[n] >= capacities[n] AND befores[n] + used[n] > totals[n] THEN
            PERFORM rate_limit_grow(keys[n], rule_ids[n], heads[n], capacities[n]);
            capacities[n] := 2 * capacities[n];
        END IF;
    END LOOP;
    WITH counted AS (
        UPDATE rate_limit_buckets AS b
        SET head = c.head + 1, tail = c.tail, admitted = c.before + c.used, last_at = c.moment,
            oldest_at = coalesce(c.oldest, c.moment), oldest_before = c.before
        FROM unnest(keys, rule_ids, heads, tails, totals, times, oldest, befores, used)
            AS c (key, rule_id, head, tail, total, moment, oldest, before, used)
        WHERE c.before + c.used > c.total AND b.key = c.key AND b.rule_id = c.rule_id
        RETURNING b.key, b.rule_id, c.head % b.capacity AS slot, c.moment, c.total
    )
    INSERT INTO rate_limit_ring AS r (key, rule_id, slot, admitted_at, before) SELECT * FROM counted
        ON CONFLICT (key, rule_id, slot) DO UPDATE SET admitted_at = excluded.admitted_at, before = excluded.before;
END $$;

-- The same for quotas.
CREATE FUNCTION rate_limit_consume_quotas(
    keys text[], rule_ids bigint[], times timestamptz[], used_before bigint[], used_after bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE resource_quotas AS q SET used = n.after, last_at = n.moment
        FROM unnest(keys, rule_ids, times, used_before, used_after) AS n (key, rule_id, moment, before, after)
        WHERE n.after > n.before AND q.key = n.key AND q.rule_id = n.rule_id;
END $$;

-- When a full window admits again: when the blocking admission has left. For counters that refused (`hits`).
CREATE FUNCTION rate_limit_blocked(
    keys text[], rule_ids bigint[], spans interval[], heads bigint[], tails bigint[], capacities bigint[],
    totals bigint[], times timestamptz[], befores bigint[], used bigint[], hits bigint[], maximum bigint[],
    OUT blocked timestamptz[]
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    number bigint;  -- of the blocking admission
BEGIN
    blocked := array_fill(NULL::timestamptz, ARRAY[cardinality(keys)]);
    FOR n IN 1 .. cardinality(heads) LOOP
        CONTINUE WHEN hits[n] = 0;
        number := befores[n] + used[n] - maximum[n];
        IF number >= totals[n] THEN  -- it was admitted in this batch, or the limit is 0
            blocked[n] := times[n] + spans[n];
        ELSE
            blocked[n] := spans[n] + rate_limit_admitted_at(
                keys[n], rule_ids[n], tails[n], heads[n], capacities[n], number);
        END IF;
    END LOOP;
END $$;

-- Store the refusals, summed per key, rule and second.
CREATE FUNCTION rate_limit_violated(
    keys text[], rule_ids bigint[], hits bigint[], first_hit bigint[], resources text[], moment timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rate_limit_violations AS v (rule_id, key, resource_type, occurred_at, last_at, hits)
        SELECT h.rule_id, h.key, resources[h.first_hit], date_trunc('second', moment), moment, h.hits
        FROM unnest(keys, rule_ids, hits, first_hit) AS h (key, rule_id, hits, first_hit) WHERE h.hits > 0
        ON CONFLICT (key, rule_id, occurred_at)
            DO UPDATE SET hits = v.hits + excluded.hits, last_at = greatest(v.last_at, excluded.last_at);
END $$;

-- Decide requests in their order, each as if it came alone: it is admitted if all its counters have room, and only then
-- consumes one of each. Touches no table. Standings are per request; `used` and `hits` (refusals) are per counter.
CREATE FUNCTION rate_limit_decide(
    requests bigint[], counters bigint[],
    INOUT maximum bigint[], INOUT used bigint[], INOUT hits bigint[], INOUT first_hit bigint[],
    OUT admitted boolean[], OUT limits bigint[], OUT remaining bigint[]
) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    first bigint := 1;  -- the request's first standing
    after bigint;       -- the next request's first standing
    c bigint;
    admits boolean;
BEGIN
    admitted := array_fill(true, ARRAY[cardinality(requests)]);
    limits := counters;
    remaining := counters;
    WHILE first <= cardinality(requests) LOOP
        admits := true;
        after := first;
        WHILE requests[after] = requests[first] LOOP  -- beyond the last one: NULL
            admits := admits AND used[counters[after]] < maximum[counters[after]];
            after := after + 1;
        END LOOP;
        FOR s IN first .. after - 1 LOOP
            c := counters[s];
            limits[s] := maximum[c];
            IF admits THEN
                used[c] := used[c] + 1;
            ELSIF used[c] >= maximum[c] THEN
                admitted[s] := false;
                hits[c] := hits[c] + 1;
                first_hit[c] := coalesce(nullif(first_hit[c], 0), requests[s]);
            END IF;
            remaining[s] := greatest(maximum[c] - used[c], 0);
        END LOOP;
        first := after;
    END LOOP;
END $$;

-- Decide the requests of a batch, in their order, and count them. Request i is of principal scopes[i]:names[i] for
-- resources[i]. It is admitted if all rules that apply admit it; otherwise nothing is consumed, and each rule that
-- refuses records a violation. With `learning`, the limits of user rules depend on the user's reputation, which each
-- request updates before the next is decided; this requires migration 050_phase2_reputation.
--
-- Exact, because all counters are locked before the clock is read and released only by the commit: the values read are
-- the newest, and no other session counts in between. Every session locks in the same order, and inserts missing rows
-- before it locks. `at` is the time of decision; NULL, the only value on a live server: the clock. A key's time never
-- runs backwards: when the clock does, the key stays at its newest admission.
--
-- Returns the counters (rule_ids to blocked_at) and the standings (requests to remaining), ordered by request and rule:
-- `counters` are indexes into the former. free_at is when `remaining` next increases, blocked_at when a refused request
-- would be admitted (NULL: not refused, or at free_at).
CREATE FUNCTION rate_limit_check(
    scopes text[], names text[], resources text[], learning boolean DEFAULT false, at timestamptz DEFAULT NULL,
    OUT checked_at timestamptz,
    OUT rule_ids bigint[], OUT rule_names text[], OUT rule_scopes text[], OUT limit_types text[],
    OUT free_at timestamptz[], OUT blocked_at timestamptz[],
    OUT requests bigint[], OUT counters bigint[], OUT admitted boolean[], OUT limits bigint[], OUT remaining bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    a record; d record;  -- the applicable counters, the decisions
    b record; w record;  -- buckets as locked, and at their time
    q record; p record;  -- quotas, the same
    windows bigint;
    none bigint[];
BEGIN
    a := rate_limit_applying(scopes, names, resources);
    IF a.requests IS NULL THEN
        RETURN;
    END IF;
    windows := cardinality(array_remove(a.spans, NULL));
    none := array_fill(0, ARRAY[cardinality(a.keys)]);
    IF a.missing THEN
        PERFORM rate_limit_make(a.keys, a.rule_ids, a.spans);
    END IF;
    b := rate_limit_lock_windows(a.keys[:windows], a.rule_ids[:windows]);
    q := rate_limit_lock_quotas(a.keys[windows + 1:], a.rule_ids[windows + 1:]);
    checked_at := coalesce(at, clock_timestamp());
    w := rate_limit_weigh_windows(a.keys, a.rule_ids, a.spans, b.heads, b.capacities, b.totals,
        checked_at, b.tails, b.times, b.oldest, b.befores);
    p := rate_limit_weigh_quotas(a.keys[windows + 1:], a.rule_ids[windows + 1:], a.limit_types[windows + 1:],
        q.starts, checked_at, q.used, q.times);
    IF learning THEN
        d := reputation_decide(scopes, names, a.keys, a.rule_scopes, a.limit_types, checked_at,
            a.requests, a.counters, a.maximum, w.used || p.used, none, none);
    ELSE
        d := rate_limit_decide(a.requests, a.counters, a.maximum, w.used || p.used, none, none);
    END IF;
    IF NOT true = ALL (d.admitted) THEN
        PERFORM rate_limit_violated(a.keys, a.rule_ids, d.hits, d.first_hit, resources, checked_at);
        blocked_at := rate_limit_blocked(a.keys, a.rule_ids, a.spans, b.heads, w.tails, b.capacities, b.totals,
            w.times, w.befores, d.used, d.hits, d.maximum);
    END IF;
    PERFORM rate_limit_consume_windows(a.keys, a.rule_ids, b.heads, w.tails, b.capacities, b.totals, w.times, w.oldest,
        w.befores, d.used);
    IF windows < cardinality(a.keys) THEN
        PERFORM rate_limit_consume_quotas(a.keys[windows + 1:], a.rule_ids[windows + 1:], p.times, p.used,
            d.used[windows + 1:]);
    END IF;
    free_at := w.ends || p.ends;
    rule_ids := a.rule_ids;
    rule_names := a.rule_names;
    rule_scopes := a.rule_scopes;
    limit_types := a.limit_types;
    requests := a.requests;
    counters := a.counters;
    admitted := d.admitted;
    limits := d.limits;
    remaining := d.remaining;
END $$;

-- For rehearsals: the admissions, with times that can be changed. Move all rows of a key and rule by the same
-- interval. A quota has one row, its newest admission: moving it moves the period it was counted in.
CREATE VIEW rate_limit_admissions (key, rule_id, admitted_at, slot) AS
    SELECT r.key, r.rule_id, r.admitted_at, r.slot FROM rate_limit_ring AS r
    UNION ALL
    SELECT q.key, q.rule_id, q.last_at, NULL FROM resource_quotas AS q WHERE q.used > 0;

CREATE FUNCTION rate_limit_admission_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.key, NEW.rule_id, NEW.slot) IS DISTINCT FROM (OLD.key, OLD.rule_id, OLD.slot) THEN
        RAISE EXCEPTION 'rate_limit_admissions: only admitted_at can be changed';
    END IF;
    UPDATE rate_limit_buckets AS b
        SET last_at = CASE OLD.slot WHEN (b.head - 1) % b.capacity THEN NEW.admitted_at ELSE b.last_at END,
            oldest_at = CASE OLD.slot WHEN b.tail % b.capacity THEN NEW.admitted_at ELSE b.oldest_at END
        WHERE b.key = OLD.key AND b.rule_id = OLD.rule_id
            AND OLD.slot IN ((b.head - 1) % b.capacity, b.tail % b.capacity);
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
-- A burst of fifty anonymous requests reaches the first limit; a person who clicks reaches none.

INSERT INTO rate_limit_configs (rule_name, scope, limit_type, limit_value) VALUES
    ('default-ip-second', 'ip', 'requests_per_second', 10),
    ('default-ip-minute', 'ip', 'requests_per_minute', 300),
    ('default-ip-hour', 'ip', 'requests_per_hour', 10000),
    ('default-global-second', 'global', 'requests_per_second', 1000);
