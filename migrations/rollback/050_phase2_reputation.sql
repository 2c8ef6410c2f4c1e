-- Drops exactly what 050_phase2_reputation.sql made, with every score in it.
-- squawk-ignore-file ban-drop-table, ban-drop-view, ban-drop-function, ban-drop-type, prefer-robust-stmts, require-lock-timeout, require-statement-timeout

DROP FUNCTION reputation_decay(bigint);
DROP FUNCTION reputation_set(text, bigint, boolean, text);
DROP FUNCTION reputation_limit(bigint, text);
DROP FUNCTION reputation_factor(text);
DROP TABLE reputation_events;
DROP TABLE reputation_scores;
