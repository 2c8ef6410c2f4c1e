-- Reputation: how well a key has behaved, and why.
--
-- A score runs from 0 to 100 and starts at 50. Below 20 a key is flagged and its limits are halved; from 80 it is
-- trusted and gets 1.5 times; a VIP, made so by hand, gets twice. A violation costs 3, 6 or 9 points by
-- severity, 100 clean requests earn one, and a week without either moves the score 5 points towards 50.
--
-- The runner applies each file in one transaction with a lock timeout, and every index is on a table made here:
-- squawk-ignore-file prefer-robust-stmts, require-concurrent-index-creation, require-lock-timeout, require-statement-timeout

CREATE TABLE reputation_scores (
    key text PRIMARY KEY,
    score numeric(5, 2) NOT NULL DEFAULT 50,
    vip boolean NOT NULL DEFAULT false,
    tier text NOT NULL GENERATED ALWAYS AS (
        CASE WHEN vip THEN 'vip' WHEN score < 20 THEN 'flagged' WHEN score >= 80 THEN 'trusted' ELSE 'standard' END
    ) STORED,
    clean_requests bigint NOT NULL DEFAULT 0,  -- since the last point that they earned
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT reputation_scores_score_check CHECK (score BETWEEN 0 AND 100),
    CONSTRAINT reputation_scores_clean_requests_check CHECK (clean_requests >= 0)
);

CREATE INDEX reputation_scores_tier_idx ON reputation_scores (tier, score);
CREATE INDEX reputation_scores_updated_at_idx ON reputation_scores (updated_at);

CREATE TABLE reputation_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL REFERENCES reputation_scores (key) ON DELETE CASCADE,
    kind text NOT NULL,
    severity bigint,                  -- of a violation: 1 to 3, costing 3 points each
    change numeric(5, 2) NOT NULL,
    occurred_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT reputation_events_kind_check CHECK (kind IN ('violation', 'clean', 'decay', 'manual')),
    CONSTRAINT reputation_events_severity_check CHECK ((kind = 'violation') = (severity IS NOT NULL)),
    CONSTRAINT reputation_events_severity_range_check CHECK (severity BETWEEN 1 AND 3)
);

CREATE INDEX reputation_events_key_idx ON reputation_events (key, occurred_at DESC);
CREATE INDEX reputation_events_occurred_at_idx ON reputation_events (occurred_at);

-- What a tier multiplies a limit by.
CREATE FUNCTION reputation_factor(tier text) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE tier WHEN 'flagged' THEN 0.5 WHEN 'trusted' THEN 1.5 WHEN 'vip' THEN 2 ELSE 1 END
$$;
