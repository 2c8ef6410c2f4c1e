-- Drops exactly the objects of 050_phase3_alerts.sql, with all alert rules and acknowledgements. Alerts stay.
-- squawk-ignore-file ban-drop-table, ban-drop-column, prefer-robust-stmts, require-lock-timeout, require-statement-timeout

DROP TABLE server_measurements;
DROP TABLE rate_limit_alert_notifications;
ALTER TABLE rate_limit_alerts DROP COLUMN acknowledged_by, DROP COLUMN acknowledged_at;
DROP TABLE rate_limit_alert_rules;
