-- Drops exactly the objects of 050_phase2_reputation.sql, with all scores.
-- squawk-ignore-file ban-drop-table, ban-drop-view, ban-drop-function, ban-drop-type, prefer-robust-stmts, require-lock-timeout, require-statement-timeout

DROP FUNCTION reputation_decay;
DROP FUNCTION reputation_set;
DROP FUNCTION reputation_decide;
DROP FUNCTION reputation_learn;
DROP FUNCTION reputation_limits;
DROP FUNCTION reputation_lock;
DROP FUNCTION reputation_users;
DROP FUNCTION reputation_severity;
DROP FUNCTION reputation_limit;
DROP FUNCTION reputation_factor;
DROP TABLE reputation_events;
DROP TABLE reputation_scores;
DROP FUNCTION reputation_tier;
