-- Drops exactly the objects of 050_rate_limiting.sql, with all rules and counts.
-- squawk-ignore-file ban-drop-table, ban-drop-view, ban-drop-function, prefer-robust-stmts, require-lock-timeout, require-statement-timeout

DROP VIEW rate_limit_admissions;
DROP FUNCTION rate_limit_admission_moved();
DROP FUNCTION rate_limit_check;
DROP FUNCTION rate_limit_decide;
DROP FUNCTION rate_limit_violated;
DROP FUNCTION rate_limit_blocked;
DROP FUNCTION rate_limit_consume_quotas;
DROP FUNCTION rate_limit_consume_windows;
DROP FUNCTION rate_limit_weigh_quotas;
DROP FUNCTION rate_limit_weigh_windows;
DROP FUNCTION rate_limit_lock_quotas;
DROP FUNCTION rate_limit_lock_windows;
DROP FUNCTION rate_limit_make;
DROP FUNCTION rate_limit_applying;
DROP FUNCTION rate_limit_used;
DROP FUNCTION rate_limit_grow;
DROP FUNCTION rate_limit_admitted_at;
DROP FUNCTION rate_limit_tail;
DROP FUNCTION rate_limit_period_end;
DROP FUNCTION rate_limit_period_start;
DROP FUNCTION rate_limit_period;
DROP FUNCTION rate_limit_window;
DROP TABLE rate_limit_alerts;
DROP TABLE system_load_history;
DROP TABLE rate_limit_stats;
DROP TABLE rate_limit_violations;
DROP TABLE resource_consumption;
DROP TABLE resource_quotas;
DROP TABLE rate_limit_ring;
DROP TABLE rate_limit_buckets;
DROP TABLE rate_limit_configs;
DROP FUNCTION rate_limit_buckets_deleted;
DROP FUNCTION rate_limit_configs_announce();
DROP FUNCTION rate_limit_config_deleted();
DROP FUNCTION rate_limit_config_changed();
