"""What each check is about, in words for people. Pure."""

import re

from gaia_checks.model import Finding

_OF_LOADS = {
    "sent_of_intended": "planned requests that were sent",
    "send_lateness_p99": "lateness of requests, p99",
    "send_lateness_max": "lateness of the latest request",
    "generator_errors": "requests that the load generator broke",
    "generator_cpu": "CPU of the load generator",
    "cpu_steal": "CPU that the host took",
    "cpu_of_others": "CPU of other processes",
    "cpu_of_gate": "CPU of the gate itself",
    "limited": "requests refused by a rate limit",
    "outcomes": "requests that succeeded",
    "latency": "latency",
}

NAMES = {
    **{f"{load}.{what}": words for load in ("load", "protection") for what, words in _OF_LOADS.items()},
    "process.alive": "the server's process runs",
    "process.digest_matches": "the process runs the released executable",
    "process.restarts": "restarts of the process",
    "database.health_says_connected": "/health reports the database connected",
    "database.server_sessions": "the server's sessions in the database",
    "migrations.applied": "the release's migrations that are applied",
    "migrations.unknown": "applied migrations that the release does not have",
    "migrations.tables": "tables",
    "migrations.indexes": "indexes",
    "migrations.invalid_indexes": "invalid indexes",
    "migrations.objects": "objects as in a database made from the release's files",
    "health.good": "good answers of /health",
    "api.contract_kept": "routes that keep the contract",
    "api.bad_input_rejected": "bad inputs that are rejected",
    "api.server_errors": "answers of status 5xx",
    "api.secrets_shown": "secrets shown in answers",
    "gate.rows_left": "rows that the gate could not remove",
    "websocket.connected": "the WebSocket connects",
    "websocket.first_stats": "time to the first stats",
    "websocket.first_heartbeat": "time to the first heartbeat",
    "websocket.bad_messages": "bad WebSocket messages",
    "log.errors": "errors in the server's log",
    "log.tracebacks": "tracebacks in the server's log",
    "log.read_from_start": "the log was read from the process's start",
    "log.secrets": "log lines with a secret",
    "load.served_of_sent": "sent requests that were served",
    "limits.refused_by_others": "requests refused by other rules than the gate's",
    "limits.answers": "wrong decisions at a limit",
    "limits.headers_right": "answers with correct rate-limit headers",
    "limits.in_force": "answers under the accepted rules",
    "limits.answered": "answered requests at a limit",
    "quotas.counts_equal": "quotas equal to what was sent",
    "quotas.kept_across_restart": "quotas are kept across a restart",
    "quotas.reset_at_period_edges": "quotas reset at the edges of their periods",
    "quotas.hour_window_expires": "requests leave the hour's window",
    "figures.usage": "figures of usage as sent",
    "figures.violations": "figures of violations as sent",
    "figures.analytics": "figures of analytics as sent",
    "figures.websocket": "figures on the WebSocket as sent",
    "figures.lists": "lists complete, page by page",
    "figures.refusals": "refusals reported as sent",
    "figures.counters": "counters in /metrics as sent",
    "access.refused": "requests without access that were refused",
    "access.handshakes_refused": "WebSockets without access that were refused",
    "access.unchanged": "refused requests changed nothing",
    "access.public_answers": "public routes that answer",
    "identity.rules_in_force": "accepted rules in force",
    "identity.budgets": "clients with a budget of their own",
    "identity.changes_in_force": "changes of rules in force",
    "identity.claims_refused": "false claims of identity refused",
    "identity.defaults_in_force": "default limits in force",
    "soak.clients_connected": "WebSocket clients connected",
    "soak.drops": "lost WebSocket connections",
    "soak.stats_gap": "longest gap between stats",
    "soak.heartbeat_gap": "longest gap between heartbeats",
    "soak.bad_messages": "bad WebSocket messages",
    "soak.reconnect": "time to reconnect",
    "soak.violation_delivered": "clients that received the violation",
    "soak.alert_delivered": "clients that received the alert",
    "dashboard.tabs_working": "tabs that work",
    "dashboard.live_update_observed": "the page updates itself",
    "dashboard.reconnected": "the page reconnects",
    "dashboard.reconnect": "time until the page reconnects",
    "dashboard.rule_edited": "a rule can be edited",
    "dashboard.errors": "errors in the browser",
    "shutdown.answered": "requests answered during the stop",
    "shutdown.closed_with_1012": "WebSockets closed with 1012",
    "shutdown.exit": "time to exit",
    "shutdown.exit_code_clean": "the exit code is clean",
    "shutdown.left": "processes and files left behind",
    "shutdown.port_obeyed": "PORT is obeyed",
    "shutdown.kept": "what is kept across a stop",
    "outage.answers": "answers as configured for an outage",
    "outage.health": "answers of /health during and after outages",
    "outage.recovery": "time to decide again after an outage",
    "outage.beyond_limit": "requests admitted beyond a limit",
    "outage.sessions_leaked": "sessions left over",
    "memory.peak": "peak of memory",
    "memory.series": "memory, and its trend over 7 days",
    "connections.peak_of_pool": "peak use of the connection pool",
    "connections.idle_in_transaction": "sessions idle in a transaction",
    "connections.waiters": "requests that waited for a connection",
    "protection.admitted_of_limit": "admitted requests, of those the limit allows",
    "monitoring.metrics_readable": "answers of /metrics that are readable",
    "monitoring.metrics_moving": "metrics that move with the traffic",
    "monitoring.queries_resolving": "dashboard queries with data",
    "rollback.previous_restored": "the previous release is back",
    "rollback.seconds": "time of the rollback",
    "rollback.schema_equal": "the schema is as before",
    "no_regression.serves": "the new release serves as the previous one does",
    "no_regression.errors_more": "share of errors above that of the previous release",
    "no_regression.p50_ratio": "p50 of response times, relative to the previous release",
    "no_regression.p99_ratio": "p99 of response times, relative to the previous release",
    "no_regression.cpu_ratio": "CPU per request, relative to the previous release",
    "no_regression.startup_ratio": "time to start, relative to the previous release",
    "no_regression.transactions_ratio": "transactions per request, relative to the previous release",
    "no_regression.memory_more_mb": "memory above that of the previous release",
    "certificate.days_left": "days until the certificate expires",
    "certificate.accepted": "clients accept the certificate",
}
"""Measurement -> its name. What a criterion of somebody else measures keeps its key."""

_KEY = re.compile(r"\b[a-z]+\.\w+\b(?: is (?=\S+(?: \w+)?; required: ))?")


def of(finding: Finding) -> str:
    """Return the name of a check."""
    return NAMES.get(finding.measurement, finding.measurement)


def named(why: str) -> str:
    """Return a reason with names in place of keys: `lateness of requests, p99: 4.1 ms; required: at most 10 ms`."""
    return _KEY.sub(_name, why)


def _name(match: re.Match[str]) -> str:
    key, compared, _ = match[0].partition(" is ")
    name = NAMES.get(key)
    return match[0] if name is None else f"{name}: " if compared else name
