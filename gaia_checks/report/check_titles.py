"""What a check is about, in words: for people who sign, and never read the name of a measurement."""

_TITLES = {
    "process.alive": "the server's process runs",
    "process.digest_matches": "the executable is the release's",
    "process.restarts": "restarts of the process",
    "database.health_says_connected": "the server reports its database as connected",
    "database.server_sessions": "sessions of the server in the database",
    "migrations.applied": "migrations of the release that are applied",
    "migrations.unknown": "applied migrations that no file explains",
    "migrations.objects": "database objects as the release's files make them",
    "health.good": "answers of GET /health that are right",
    "api.contract_kept": "routes that keep the contract",
    "api.bad_input_rejected": "kinds of bad input that are rejected",
    "api.server_errors": "answers with a status of 500 or above",
    "api.secrets_shown": "answers that show a secret",
    "gate.rows_left": "rows of the gate left in the target",
    "websocket.connected": "the WebSocket connects",
    "websocket.first_stats": "time to the first statistics",
    "websocket.first_heartbeat": "time to the first heartbeat",
    "log.errors": "errors in the log",
    "log.tracebacks": "tracebacks in the log",
    "log.secrets": "secrets in the log",
    "log.read_from_start": "the log was read from its start",
    "limits.in_force": "answers that name the rules in force",
    "limits.headers_right": "answers with the right rate limit headers",
    "quotas.counts_equal": "quotas that count what was sent",
    "soak.clients_connected": "WebSocket clients that connected",
    "soak.drops": "WebSocket connections that were lost",
    "soak.stats_gap": "longest gap between two statistics",
    "soak.heartbeat_gap": "longest gap between two heartbeats",
    "soak.reconnect": "time to connect again",
    "dashboard.tabs_working": "tabs of the dashboard that work",
    "dashboard.errors": "errors in the browser",
    "shutdown.answered": "requests answered during a shutdown",
    "shutdown.exit": "time to stop after SIGTERM",
    "memory.peak": "peak of the server's memory",
    "memory.series": "memory that its trend reaches within 7 days",
    "connections.peak_of_pool": "peak of the pool in use",
    "connections.idle_in_transaction": "sessions idle in a transaction",
    "connections.waiters": "requests that wait for a connection",
    "protection.admitted_of_limit": "requests admitted of a flood, of its limit",
    "rollback.previous_restored": "the previous release runs again",
    "rollback.seconds": "time of the rollback",
    "rollback.schema_equal": "the schema after the rollback is the one before",
}
_OF_A_LOAD = {
    "sent_of_intended": "requests that were sent",
    "send_lateness_p99": "requests sent late, p99",
    "send_lateness_max": "requests sent late, worst",
    "generator_errors": "errors of the load generator",
    "generator_cpu": "CPU of the load generator",
    "cpu_steal": "CPU taken by other virtual machines",
    "cpu_of_others": "CPU taken by other processes",
    "cpu_of_gate": "CPU taken by the gate itself",
    "limited": "requests refused beside the load's own limits",
    "served_of_sent": "requests answered, of those sent",
    "outcomes": "requests that succeeded",
    "latency": "response time",
}
_LOADS = ("load", "protection")


def of(measurement: str) -> str:
    """Return the words for a measurement; of one that has none here its name, readable. Pure."""
    look, _, what = measurement.partition(".")
    in_words = _TITLES.get(measurement) or (_OF_A_LOAD.get(what) if look in _LOADS else None)
    return in_words or f"{look}: {what.replace('_', ' ')}"
