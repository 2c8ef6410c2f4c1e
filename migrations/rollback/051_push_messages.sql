-- Drops exactly the objects of 051_push_messages.sql.
-- squawk-ignore-file ban-drop-table, ban-drop-function, prefer-robust-stmts, require-lock-timeout, require-statement-timeout

DROP TRIGGER rate_limit_alert_changed ON rate_limit_alerts;
DROP FUNCTION rate_limit_alert_changed;
DROP FUNCTION push_violations;
DROP FUNCTION push_position;
DROP TABLE push_messages;
