-- Drops exactly the objects of 050_phase3_alerts.sql, with all alert rules and acknowledgements. Alerts stay.
-- squawk-ignore-file ban-drop-table, prefer-robust-stmts, require-lock-timeout, require-statement-timeout

DROP TABLE server_measurements;
DROP TABLE rate_limit_alert_notifications;
DROP TABLE rate_limit_alert_acknowledgements;
DROP TABLE rate_limit_alert_rules;
