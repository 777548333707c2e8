//! The signatures that the rehearsal can play, each with the rule that has to lead. Read by the tests of one iteration and by
//! those of the pages.

pub const COHERENCE: &str = "coordination/consensus_mechanisms";
pub const BREAKER: &str = "failure_recovery/circuit_breaker";
pub const MESSAGES: &str = "message_flow/real_message_api_endpoints";
pub const THREADS: &str = "message_flow/real_thread_management";
pub const REFUSALS: &str = "message_flow/real_error_handling_flow";
pub const JOURNEY: &str = "critical_path/end_to_end_message_flow";

/// Fault, the rule that leads, checks beyond the usual ones.
pub const SIGNATURES: &[(&str, &str, &[&str])] = &[
    ("ws-upgrade-500", "upgrade_500_for_all", &[]),
    ("ws-upgrade-500-after-auth", "upgrade_500_after_auth", &[]),
    ("edge-403", "edge_blocks_upgrades", &[]),
    ("ws-aud-refused", "socket_checks_token_differently", &[]),
    ("jwt-secret-mismatch", "signing_secret_or_service_id", &[COHERENCE]),
    ("ws-header-dropped", "authorization_dropped_on_upgrades", &[]),
    ("ws-subprotocol-dropped", "subprotocol_dropped_on_upgrades", &[]),
    ("numeric-sub-refused", "numeric_user_id_refused", &[]),
    ("backend-503", "backend_down_after_deploy", &[]),
    ("auth-503", "auth_container_unreachable", &[]),
    ("auth-down", "auth_service_down", &[]),
    ("auth-outage-as-401", "auth_outage_as_401", &[COHERENCE, BREAKER]),
    ("health-500", "health_needs_optional_parts", &[]),
    ("database-down", "database_down", &[]),
    ("health-lies", "health_lies_about_database", &[]),
    ("db-outage-as-401", "database_outage_as_wrong_password", &[]),
    (
        "database-flaps",
        "database_pool_fails_now_and_then",
        &[MESSAGES, THREADS, REFUSALS],
    ),
    ("redis-down", "redis_down", &[]),
    ("readiness-422", "readiness_as_422", &[]),
    ("readiness-disagrees", "readiness_statements_disagree", &[]),
    ("ws-500-under-concurrency", "upgrade_500_under_concurrency", &[]),
    ("ws-no-welcome", "handshake_hangs", &[]),
    ("ws-close-1011", "closed_1011_at_once", &[]),
    ("ws-factory-init-failed", "factory_init_failed", &[]),
    ("ws-startup-incomplete", "startup_incomplete", &[]),
    ("ws-auth-required", "auth_required_class", &[]),
    ("thread-crud-500", "thread_crud_500", &[THREADS]),
    ("messages-missing", "messages_route_missing", &[MESSAGES]),
    ("messages-cross-user", "cross_user_messages", &[MESSAGES]),
    ("execute-public", "agents_without_authentication", &[REFUSALS]),
    ("errors-as-500", "errors_as_500", &[REFUSALS]),
    ("logout-not-revoking", "logout_does_not_revoke", &[COHERENCE]),
    ("expires-in-wrong", "lifetime_stated_wrong", &[JOURNEY]),
    ("ws-health-degraded", "socket_health_lies", &[]),
    ("health-clock-off", "clock_of_target_off", &[]),
];
