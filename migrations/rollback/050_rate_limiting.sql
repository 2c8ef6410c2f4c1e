-- Drops exactly what 050_rate_limiting.sql made, with every rule and count in it.
-- squawk-ignore-file ban-drop-table, ban-drop-view, ban-drop-function, ban-drop-type, prefer-robust-stmts, require-lock-timeout, require-statement-timeout

DROP VIEW rate_limit_admissions;
DROP FUNCTION rate_limit_admission_moved();
DROP FUNCTION rate_limit_forget_idle(text, bigint, bigint, interval);
DROP FUNCTION rate_limit_check(text, text, text);
DROP FUNCTION rate_limit_used(text, bigint);
DROP FUNCTION rate_limit_consume(rate_limit_standing, timestamptz);
DROP FUNCTION rate_limit_weigh_quota(rate_limit_standing, timestamptz);
DROP FUNCTION rate_limit_weigh_window(rate_limit_standing, timestamptz);
DROP FUNCTION rate_limit_expire(rate_limit_standing, timestamptz);
DROP FUNCTION rate_limit_admitted_at(rate_limit_standing, bigint);
DROP FUNCTION rate_limit_grow(rate_limit_standing);
DROP FUNCTION rate_limit_lock_quota(rate_limit_standing);
DROP FUNCTION rate_limit_lock_bucket(rate_limit_standing);
DROP TYPE rate_limit_standing;
DROP FUNCTION rate_limit_period_end(text, timestamptz);
DROP FUNCTION rate_limit_period_start(text, timestamptz);
DROP FUNCTION rate_limit_period(text);
DROP FUNCTION rate_limit_window(text);
DROP TABLE rate_limit_alerts;
DROP TABLE system_load_history;
DROP TABLE rate_limit_stats;
DROP TABLE rate_limit_violations;
DROP TABLE resource_consumption;
DROP TABLE resource_quotas;
DROP TABLE rate_limit_ring;
DROP TABLE rate_limit_buckets;
DROP TABLE rate_limit_configs;
DROP FUNCTION rate_limit_configs_announce();
DROP FUNCTION rate_limit_config_deleted();
DROP FUNCTION rate_limit_config_changed();
