//! For each signature that the rehearsal can play, the expected rule and no other leads the diagnosis.

use crate::support::iterate;
use stagewatch::app::explain::explain;
use stagewatch::app::once::Iterated;
use stagewatch::catalog::Catalog;
use stagewatch::report::{Colour, Format, render};
use stagewatch::run::Judgement;
use stagewatch::transcript::Transcript;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Rehearsals at once: a run that has to fight for the processor sees time-outs that no rule expects.
const AT_ONCE: usize = 3;

const COHERENCE: &str = "coordination/consensus_mechanisms";
const BREAKER: &str = "failure_recovery/circuit_breaker";
const MESSAGES: &str = "message_flow/real_message_api_endpoints";
const THREADS: &str = "message_flow/real_thread_management";
const REFUSALS: &str = "message_flow/real_error_handling_flow";
const JOURNEY: &str = "critical_path/end_to_end_message_flow";

/// Fault, the rule that leads, checks beyond the usual ones.
const SIGNATURES: &[(&str, &str, &[&str])] = &[
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

/// The rules that hold, sensitive ones included.
fn named(catalog: &Catalog, iterated: &Iterated, transcripts: &[Arc<Transcript>]) -> Vec<String> {
    let judgements: Vec<&Judgement> = iterated.judgements.iter().map(|stored| &stored.judgement).collect();
    let diagnosis = explain(catalog, transcripts, &judgements);
    diagnosis.causes.into_iter().map(|cause| cause.rule).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes of live faults: cargo test --test explain -- --ignored"]
async fn the_expected_rule_leads() {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for (fault, rule, more) in SIGNATURES {
        let places = Arc::clone(&places);
        tasks.spawn(async move {
            let _place = places.acquire().await.unwrap();
            let mut named_last = Vec::new();
            // Looked at twice, because a busy machine misses deadlines, and what was not seen is not named.
            for _ in 0..2 {
                let (catalog, iterated) = iterate(&[fault], more).await;
                named_last = named(&catalog, &iterated, &iterated.transcripts);
                if named_last.first().map(String::as_str) == Some(rule) {
                    return None;
                }
            }
            Some(format!("{fault}: {rule}, but {named_last:?}"))
        });
    }
    let mut wrong: Vec<String> = tasks.join_all().await.into_iter().flatten().collect();
    wrong.sort();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_named_on_a_healthy_target() {
    let (catalog, iterated) = iterate(&[], &[COHERENCE, BREAKER, MESSAGES, THREADS, REFUSALS, JOURNEY]).await;
    assert_eq!(named(&catalog, &iterated, &iterated.transcripts), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_of_the_day_says_what_took_an_hour() {
    let (catalog, iterated) = iterate(&["ws-upgrade-500-after-auth"], &[]).await;
    let report = render(&iterated.iteration, Format::Markdown, Colour::Plain);
    for said in [
        "- **Critical finding:** The WebSocket upgrade answers HTTP 500 for a valid token only",
        "Authentication works: an upgrade without a token is answered \\[403\\], a forged token \\[403\\]; the API answers \\[200\\] for the same tokens",
        "The failure is inside the upgrade, after authentication",
        "All WebSocket-dependent checks share it",
        "the API is unaffected",
        "## Five whys: The WebSocket upgrade answers HTTP 500 for a valid token only",
        "### Why 1: Why is the WebSocket returning HTTP 500?",
        "### Why 5: Which exception is raised after authentication?",
        "**Answer:** not visible from outside.",
        "### Immediate (P0)",
    ] {
        assert!(report.contains(said), "{said}\nis missing in\n{report}");
    }
    // The order in which scenarios ended must not change a byte.
    let mut backwards = iterated.transcripts.clone();
    backwards.reverse();
    let judgements: Vec<&Judgement> = iterated.judgements.iter().map(|stored| &stored.judgement).collect();
    assert_eq!(
        serde_json::to_string(&explain(&catalog, &iterated.transcripts, &judgements)).unwrap(),
        serde_json::to_string(&explain(&catalog, &backwards, &judgements)).unwrap(),
    );
}
