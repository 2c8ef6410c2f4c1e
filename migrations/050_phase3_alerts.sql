-- Alerts: the rules that fire them, who acknowledged them, the notifications to send, and what the rules compare.
--
-- An alert belongs to the rule of its name: it fires at most once at a time, and resolves when its rule is disabled,
-- renamed or deleted. Thresholds and values are whole numbers of the metric's unit; values are rounded up, so that
-- "above the threshold" is exact.
--
-- The runner applies each file in one transaction with a lock timeout, and every index is on a new table:
-- squawk-ignore-file prefer-robust-stmts, require-concurrent-index-creation, require-lock-timeout, require-statement-timeout

CREATE TABLE rate_limit_alert_rules (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    metric text NOT NULL,
    rule_id bigint REFERENCES rate_limit_configs (id) ON DELETE CASCADE,  -- NULL: all rate limit rules together
    threshold bigint NOT NULL,            -- fires above it
    clear_threshold bigint NOT NULL,      -- resolves at or below it
    for_s bigint NOT NULL DEFAULT 0,      -- how long the value must stay above the threshold before it fires
    severity text NOT NULL DEFAULT 'warning',
    enabled boolean NOT NULL DEFAULT true,
    muted_until timestamptz,              -- until then it notifies nobody
    pending_since timestamptz,            -- since when the value is above the threshold, before it fires
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT rate_limit_alert_rules_name_key UNIQUE (name),
    CONSTRAINT rate_limit_alert_rules_name_check CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9 ._:/@-]{0,99}$'),
    CONSTRAINT rate_limit_alert_rules_metric_check CHECK (metric IN (
        'violations_per_minute', 'limit_utilisation_percent', 'error_percent', 'memory_mb', 'pool_use_percent',
        'system_load_percent'
    )),
    CONSTRAINT rate_limit_alert_rules_rule_id_check CHECK (
        rule_id IS NULL OR metric IN ('violations_per_minute', 'limit_utilisation_percent')
    ),
    CONSTRAINT rate_limit_alert_rules_threshold_check CHECK (
        0 <= clear_threshold AND clear_threshold <= threshold AND threshold <= 1000000000
    ),
    CONSTRAINT rate_limit_alert_rules_for_s_check CHECK (for_s BETWEEN 0 AND 86400),
    CONSTRAINT rate_limit_alert_rules_severity_check CHECK (severity IN ('info', 'warning', 'critical'))
);

CREATE INDEX rate_limit_alert_rules_rule_id_idx ON rate_limit_alert_rules (rule_id);

-- Who takes care of an alert. Not columns of the alerts: an earlier release reads exactly those that it knows.
CREATE TABLE rate_limit_alert_acknowledgements (
    alert_id bigint PRIMARY KEY REFERENCES rate_limit_alerts (id) ON DELETE CASCADE,
    acknowledged_at timestamptz NOT NULL,
    acknowledged_by text NOT NULL
);

-- One notification per alert, state and target (the number of a URL in ALERT_URLS). Sent by whichever process takes it.
CREATE TABLE rate_limit_alert_notifications (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id bigint NOT NULL REFERENCES rate_limit_alerts (id) ON DELETE CASCADE,
    state text NOT NULL,
    target bigint NOT NULL,
    attempts bigint NOT NULL DEFAULT 0,
    next_attempt_at timestamptz DEFAULT now(),  -- NULL: it was sent, or given up
    sent_at timestamptz,
    failure text,                               -- of the latest attempt
    CONSTRAINT rate_limit_alert_notifications_state_check CHECK (state IN ('firing', 'resolved')),
    CONSTRAINT rate_limit_alert_notifications_sent_check CHECK (sent_at IS NULL OR next_attempt_at IS NULL)
);

CREATE INDEX rate_limit_alert_notifications_alert_id_idx ON rate_limit_alert_notifications (alert_id);
CREATE INDEX rate_limit_alert_notifications_due_idx ON rate_limit_alert_notifications (next_attempt_at)
    WHERE next_attempt_at IS NOT NULL;

-- What each server process measured of itself within the last seconds. A row that is not renewed does not count.
CREATE TABLE server_measurements (
    instance text PRIMARY KEY,
    measured_at timestamptz NOT NULL,
    memory_bytes bigint NOT NULL,
    pool_in_use bigint NOT NULL,
    pool_max bigint NOT NULL,
    load_percent bigint NOT NULL,         -- the machine's load average of one minute, per CPU
    requests bigint NOT NULL,             -- answered within the last minute
    errors bigint NOT NULL,               -- of these, answered with a status of 500 or above
    CONSTRAINT server_measurements_values_check CHECK (
        memory_bytes >= 0 AND pool_in_use >= 0 AND pool_max >= 1 AND load_percent >= 0
        AND 0 <= errors AND errors <= requests
    )
) WITH (fillfactor = 50);                 -- rows are overwritten every few seconds

-- The first is in force. A client that reaches its limit is no fault, so the others are enabled on request.
INSERT INTO rate_limit_alert_rules (name, metric, threshold, clear_threshold, for_s, severity, enabled) VALUES
    ('violations_per_minute', 'violations_per_minute', 100, 100, 0, 'warning', true),
    ('limit_utilisation', 'limit_utilisation_percent', 80, 70, 10, 'info', false),
    ('limit_approaching', 'limit_utilisation_percent', 90, 80, 10, 'warning', false),
    ('error_rate', 'error_percent', 5, 1, 60, 'critical', false),
    ('memory', 'memory_mb', 500, 450, 60, 'warning', false),
    ('pool_use', 'pool_use_percent', 90, 70, 30, 'critical', false),
    ('system_load', 'system_load_percent', 200, 150, 300, 'warning', false);
