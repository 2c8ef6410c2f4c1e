-- Drops exactly the objects of 051_push_messages.sql.
-- squawk-ignore-file ban-drop-table, ban-drop-function, prefer-robust-stmts, require-lock-timeout, require-statement-timeout

DROP TRIGGER rate_limit_alert_acknowledgements_push ON rate_limit_alert_acknowledgements;
DROP TRIGGER rate_limit_alerts_push ON rate_limit_alerts;
DROP FUNCTION push_alert;
DROP FUNCTION push_violations;
DROP FUNCTION push_forget;
DROP FUNCTION push_position;
DROP TABLE push_messages;
