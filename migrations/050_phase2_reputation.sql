-- Reputation: a score per user, and the events that changed it. The limiter uses it only on request (`learning`).
--
-- A score is 0 to 100 and starts at 50. Below 20 a user is flagged and has half the limits of user rules; from 80
-- trusted, with 1.5 times the limits; a VIP, set manually, has twice the limits. A violation costs 3, 6 or 9 points by
-- severity, 100 clean requests earn one, and each week without a change moves the score 5 points towards 50.
--
-- The runner applies each file in one transaction with a lock timeout, and every index is on a new table:
-- squawk-ignore-file prefer-robust-stmts, require-concurrent-index-creation, require-lock-timeout, require-statement-timeout

CREATE FUNCTION reputation_tier(score bigint, vip boolean) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN vip THEN 'vip' WHEN score < 20 THEN 'flagged' WHEN score >= 80 THEN 'trusted' ELSE 'standard' END
$$;

CREATE TABLE reputation_scores (
    key text COLLATE "C" PRIMARY KEY,  -- 'user:ada'
    score bigint NOT NULL DEFAULT 50,
    vip boolean NOT NULL DEFAULT false,
    tier text NOT NULL GENERATED ALWAYS AS (reputation_tier(score, vip)) STORED,
    clean_requests bigint NOT NULL DEFAULT 0,  -- since the last point earned
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),  -- when the score last changed: weekly decay counts from this time
    CONSTRAINT reputation_scores_score_check CHECK (score BETWEEN 0 AND 100),
    CONSTRAINT reputation_scores_clean_requests_check CHECK (clean_requests >= 0)
);

CREATE INDEX reputation_scores_score_idx ON reputation_scores (score, key);
CREATE INDEX reputation_scores_tier_idx ON reputation_scores (tier, score, key);
CREATE INDEX reputation_scores_updated_at_idx ON reputation_scores (updated_at) WHERE score <> 50;  -- scores that decay

CREATE TABLE reputation_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text COLLATE "C" NOT NULL REFERENCES reputation_scores (key) ON DELETE CASCADE,
    kind text NOT NULL,
    severity bigint,                  -- of a violation: 1 to 3, costing 3 points each
    change bigint NOT NULL,           -- of the score, as applied
    reason text,                      -- of a manual change
    occurred_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT reputation_events_kind_check CHECK (kind IN ('violation', 'clean', 'decay', 'manual')),
    CONSTRAINT reputation_events_severity_check CHECK ((kind = 'violation') = (severity IS NOT NULL)),
    CONSTRAINT reputation_events_reason_check CHECK ((kind = 'manual') = (reason IS NOT NULL)),
    CONSTRAINT reputation_events_severity_range_check CHECK (severity BETWEEN 1 AND 3)
);

CREATE INDEX reputation_events_key_idx ON reputation_events (key, occurred_at DESC, id DESC);
CREATE INDEX reputation_events_occurred_at_idx ON reputation_events (occurred_at DESC, id DESC);

-- The factor by which a tier multiplies a limit.
CREATE FUNCTION reputation_factor(tier text) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE tier WHEN 'flagged' THEN 0.5 WHEN 'trusted' THEN 1.5 WHEN 'vip' THEN 2 ELSE 1 END
$$;

-- The limit of a user rule for this tier: rounded down, but 1 stays 1, because 0 refuses everything.
CREATE FUNCTION reputation_limit(limit_value bigint, tier text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT greatest(floor(limit_value * reputation_factor(tier))::bigint, least(limit_value, 1))
$$;

-- The severity of a refusal by a limit of this type.
CREATE FUNCTION reputation_severity(limit_type text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE limit_type WHEN 'requests_per_second' THEN 1 WHEN 'requests_per_minute' THEN 2 ELSE 3 END
$$;

-- The users of a batch: their keys, the user of each request (`requesters`), the user of each counter (`owners`).
CREATE FUNCTION reputation_users(
    scopes text[], names text[], keys text[], rule_scopes text[],
    OUT users text[], OUT requesters bigint[], OUT owners bigint[]
) LANGUAGE plpgsql STABLE AS $$
BEGIN
    users := array(
        SELECT DISTINCT 'user:' || a.name COLLATE "C" FROM unnest(scopes, names) AS a (scope, name)
        WHERE a.scope = 'user' ORDER BY 1
    );
    requesters := array(
        SELECT CASE a.scope WHEN 'user' THEN array_position(users, 'user:' || a.name) END
        FROM unnest(scopes, names) WITH ORDINALITY AS a (scope, name, n) ORDER BY a.n
    );
    owners := array(
        SELECT CASE c.scope WHEN 'user' THEN array_position(users, c.key) END
        FROM unnest(keys, rule_scopes) WITH ORDINALITY AS c (key, scope, n) ORDER BY c.n
    );
END $$;

-- Insert missing scores, lock the users' scores in order, and read them.
CREATE FUNCTION reputation_lock(users text[], OUT scores bigint[], OUT vips boolean[], OUT cleans bigint[])
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO reputation_scores (key)
        SELECT u.key FROM unnest(users) AS u (key)
        WHERE NOT EXISTS (SELECT FROM reputation_scores AS r WHERE r.key = u.key)
        ON CONFLICT DO NOTHING;
    SELECT array_agg(r.score ORDER BY r.n), array_agg(r.vip ORDER BY r.n), array_agg(r.clean_requests ORDER BY r.n)
        INTO scores, vips, cleans
        FROM (
            SELECT u.n, r.score, r.vip, r.clean_requests
            FROM unnest(users) WITH ORDINALITY AS u (key, n) JOIN reputation_scores AS r ON r.key = u.key
            ORDER BY u.n FOR UPDATE OF r
        ) AS r;
    IF cardinality(scores) IS DISTINCT FROM nullif(cardinality(users), 0) THEN
        RAISE EXCEPTION 'a score was deleted meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
END $$;

-- The limits of counters: those with an owner depend on the owner's tier.
CREATE FUNCTION reputation_limits(base bigint[], owners bigint[], scores bigint[], vips boolean[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(CASE WHEN c.owner IS NULL THEN c.base
        ELSE reputation_limit(c.base, reputation_tier(scores[c.owner], vips[c.owner])) END ORDER BY c.n)
    FROM unnest(base, owners) WITH ORDINALITY AS c (base, owner, n)
$$;

-- Store the results of a batch: the new scores, and each change with its cause.
CREATE FUNCTION reputation_learn(
    users text[], new_scores bigint[], cleans bigint[],
    learnt text[], severities bigint[], changes bigint[], moment timestamptz
) RETURNS void LANGUAGE sql AS $$
    UPDATE reputation_scores AS r
        SET score = u.score, clean_requests = u.clean,
            updated_at = CASE WHEN u.key = ANY(learnt) THEN moment ELSE r.updated_at END
        FROM unnest(users, new_scores, cleans) AS u (key, score, clean) WHERE r.key = u.key;
    INSERT INTO reputation_events (key, kind, severity, change, occurred_at)
        SELECT e.key, CASE WHEN e.severity IS NULL THEN 'clean' ELSE 'violation' END, e.severity, e.change, moment
        FROM unnest(learnt, severities, changes) WITH ORDINALITY AS e (key, severity, change, n) ORDER BY e.n
$$;

-- The same as rate_limit_decide, but the limits of user rules depend on the users' scores, which each request updates
-- before the next is decided. Every session locks scores after all counters.
CREATE FUNCTION reputation_decide(
    scopes text[], names text[], keys text[], rule_scopes text[], limit_types text[], moment timestamptz,
    requests bigint[], counters bigint[],
    INOUT maximum bigint[], INOUT used bigint[], INOUT hits bigint[], INOUT first_hit bigint[],
    OUT admitted boolean[], OUT limits bigint[], OUT remaining bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    base bigint[] := maximum;  -- the limits before reputation
    a record;                  -- the users of the batch
    r record;                  -- their scores
    d record;                  -- one request, decided
    first bigint := 1;
    after bigint;
    u bigint;
    worst bigint;
    change bigint;
    learnt text[]; severities bigint[]; changes bigint[];  -- the events: user, severity, change
BEGIN
    a := reputation_users(scopes, names, keys, rule_scopes);
    r := reputation_lock(a.users);
    maximum := reputation_limits(base, a.owners, r.scores, r.vips);
    WHILE first <= cardinality(requests) LOOP
        after := first;
        WHILE requests[after] = requests[first] LOOP
            after := after + 1;
        END LOOP;
        d := rate_limit_decide(
            requests[first:after - 1], counters[first:after - 1], maximum, used, hits, first_hit);
        used := d.used;
        hits := d.hits;
        first_hit := d.first_hit;
        admitted := admitted || d.admitted;
        limits := limits || d.limits;
        remaining := remaining || d.remaining;
        u := a.requesters[requests[first]];
        IF u IS NOT NULL THEN
            worst := (SELECT coalesce(max(reputation_severity(limit_types[s.counter])), 0)
                      FROM unnest(counters[first:after - 1], d.admitted) AS s (counter, admitted)
                      WHERE a.owners[s.counter] = u AND NOT s.admitted);
            r.cleans[u] := CASE worst WHEN 0 THEN (r.cleans[u] + 1) % 100 ELSE r.cleans[u] END;
            change := CASE WHEN worst > 0 THEN -least(3 * worst, r.scores[u])
                           WHEN r.cleans[u] = 0 THEN least(1, 100 - r.scores[u]) ELSE 0 END;
            IF change <> 0 THEN
                r.scores[u] := r.scores[u] + change;
                learnt := learnt || a.users[u];
                severities := severities || nullif(worst, 0);
                changes := changes || change;
                maximum := reputation_limits(base, a.owners, r.scores, r.vips);
            END IF;
        END IF;
        first := after;
    END LOOP;
    PERFORM reputation_learn(a.users, r.scores, r.cleans, learnt, severities, changes, moment);
END $$;

-- Set a user's reputation manually, with a reason. The row is locked first, so that the event has the actual change.
CREATE FUNCTION reputation_set(of_key text, new_score bigint, new_vip boolean, new_reason text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    old_score bigint;
BEGIN
    INSERT INTO reputation_scores (key) VALUES (of_key) ON CONFLICT DO NOTHING;
    SELECT r.score INTO old_score FROM reputation_scores AS r WHERE r.key = of_key FOR UPDATE;
    UPDATE reputation_scores AS r SET score = new_score, vip = new_vip, updated_at = clock_timestamp()
        WHERE r.key = of_key;
    INSERT INTO reputation_events (key, kind, change, reason, occurred_at)
        VALUES (of_key, 'manual', new_score - old_score, new_reason, clock_timestamp());
END $$;

-- Move scores that have not changed for whole weeks towards 50, five points for each, at most `batch` of them.
-- The remaining time counts for the next week, so the result does not depend on who calls this and how often.
CREATE FUNCTION reputation_decay(batch bigint) RETURNS bigint LANGUAGE sql AS $$
    WITH due AS (
        SELECT r.key, r.score, floor(extract(epoch FROM now() - r.updated_at) / 604800)::bigint AS weeks
        FROM reputation_scores AS r WHERE r.score <> 50 AND r.updated_at <= now() - interval '168 hours'
        ORDER BY r.updated_at LIMIT batch FOR UPDATE SKIP LOCKED
    ), moved AS (
        UPDATE reputation_scores AS r
        SET score = r.score + sign(50 - r.score)::bigint * least(5 * due.weeks, abs(50 - r.score)),
            updated_at = r.updated_at + due.weeks * interval '168 hours'
        FROM due WHERE r.key = due.key
        RETURNING r.key, r.score - due.score AS change
    ), recorded AS (
        INSERT INTO reputation_events (key, kind, change) SELECT key, 'decay', change FROM moved RETURNING 1
    )
    SELECT count(*) FROM recorded
$$;
