//! Every fault in the table, switched on alone, changes what can be seen; a healthy rehearsal looks the same twice.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;

use futures_util::StreamExt;
use stagewatch::rehearsal::catalogue;

use crate::facts::{Facts, agents, http, sessions, tokens, upgrades};
use crate::support::Stage;

type Gathering<'a> = Pin<Box<dyn Future<Output = Facts> + 'a>>;

/// A way to look, with the time scale it needs and the faults it must see.
pub struct View {
    pub name: &'static str,
    scale: f64,
    look: fn(&Stage) -> Gathering<'_>,
    sees: &'static str,
}

macro_rules! view {
    ($name:literal, $scale:literal, $look:path, $sees:literal) => {
        View {
            name: $name,
            scale: $scale,
            look: |stage| Box::pin($look(stage)),
            sees: $sees,
        }
    };
}

pub fn views() -> Vec<View> {
    vec![
        view!("endpoints", 1.0, http::endpoints,
            "refuse-connections backend-503 edge-429 api-500 unknown-route-200 traversal-open environment-header-wrong
             errors-as-500 validation-500 error-leaks-internals error-code-missing error-html health-lies health-500
             health-degraded health-html health-live-404 health-slash-404 head-405 options-405 version-mixed database-down
             redis-down degraded-breaks-core readiness-422 ready-empty-200 readiness-disagrees schema-failed
             monitoring-ping-503 ws-health-degraded ws-beacon-missing discovery-500 discovery-localhost
             discovery-dead-url mcp-config-localhost mcp-servers-empty mcp-version-disagrees mcp-tools-list-empty
             mcp-info-disagrees mcp-no-run-agent config-environment-wrong config-ws-url-localhost openapi-missing
             threads-list-500 threads-list-shape threads-public messages-public messages-missing
             messages-no-pagination execute-public execute-fabricated run-agent-500 run-status-500
             run-status-fabricated run-status-public agent-overview-inconsistent agent-metrics-frozen
             breaker-frozen breaker-illegal-transition breaker-stuck-open breaker-sum-wrong breaker-unknown-200
             breaker-canary-closed breaker-metrics-constant mcp-canary-connected mcp-wrong-id
             events-stream-fabricated jwt-secret-mismatch info-endpoints-500 messages-aud-refused"),
        view!("health", 1.0, http::health,
            "health-frozen health-flaps health-clock-off uptime-frozen trace-id-constant cors-reflects-anyone http2-broken
             affinity-ignored affinity-no-cookie auth-health-unhealthy database-down"),
        view!("delivery", 1.0, http::delivery, "backend-503-late body-slow body-cut api-slow:2000 edge-rate-limit"),
        view!("threads", 1.0, http::threads,
            "thread-crud-500 threads-unstable thread-foreign-read thread-title-not-saved thread-put-mangled
             thread-delete-ignored bare-503 threads-element-shape database-flaps messages-cross-user message-duplicates degraded-breaks-core"),
        view!("restart", 1.0, http::restart,
            "startup-order-wrong cold-start-slow restart-abrupt restart-loses-data"),
        view!("tokens", 1.0, tokens::tokens,
            "login-500 login-401 login-slow db-outage-as-401 expires-in-wrong token-wrong-issuer refresh-reusable
             refresh-race-500 refresh-same-token logout-not-revoking create-token-open auth-accepts-tampered
             http-accepts-tampered ws-accepts-tampered alg-none-accepted validate-always-valid jwt-secret-mismatch
             me-wrong-user tampered-token-500 ws-aud-refused numeric-sub-refused"),
        view!("aged", 0.001, tokens::aged, "expired-accepted"),
        view!("outage", 1.0, tokens::outage, "auth-down auth-503 auth-outage-as-401 database-down"),
        view!("upgrades", 1.0, upgrades::upgrades,
            "refuse-connections backend-503 ws-upgrade-500 ws-upgrade-500-after-auth ws-500-under-concurrency
             ws-500-one-instance ws-upgrade-401 ws-upgrade-403 ws-upgrade-404 ws-upgrade-429 ws-upgrade-502
             ws-upgrade-503 ws-upgrade-504 ws-upgrade-301 ws-upgrade-200 edge-403 ws-upgrade-hang ws-upgrade-close
             ws-upgrade-slow ws-http10-503 ws-500-split-body ws-500-chunked ws-no-upgrade-header ws-wrong-accept
             ws-bad-subprotocol ws-unasked-extension ws-header-dropped ws-subprotocol-dropped
             ws-accepts-anonymous ws-any-path ws-test-missing ws-aud-refused ws-refusal-after-101"),
        view!("answers", 1.0, sessions::answers,
            "ws-no-welcome ws-welcome-late ws-welcome-wrong-user ws-welcome-not-ready ws-close-1008 ws-close-1011
             ws-auth-required ws-factory-init-failed ws-startup-incomplete ws-1011-after-welcome ws-zombie
             oversize-silent size-limit-low format-errors-silent unknown-type-silent echo-lost echo-duplicated
             echo-reordered echo-wrong-id ping-unanswered ack-missing ack-wrong-id ack-slow heartbeat-missing
             ws-close-unanswered start-agent-silent ws-protocol-missing"),
        view!("latency", 1.0, sessions::latency, "echo-slow ws-socket-starved"),
        view!("abuse", 1.0, sessions::abuse, "ws-zombie-after-errors ws-silent-drops burst-closes fragments-lost"),
        view!("several", 1.0, sessions::several,
            "ws-connection-id-repeats ws-manager-leak ws-limit-as-auth-required ws-reconnect-refused"),
        view!("stranger", 1.0, sessions::stranger, "ws-cross-user-leak"),
        view!("over time", 0.04, sessions::over_time, "heartbeat-irregular ws-no-keepalive ws-cut-early"),
        view!("run", 1.0, agents::run,
            "ws-cross-user-leak events-shape-b events-shape-c agent-silent agent-mock-run agent-fails agent-wrong-answer
             agent-no-terminal agent-duplicate-terminal agent-extra-after-terminal agent-no-thinking
             agent-thinking-first agent-no-tool-completed agent-timestamps-backwards agent-clock-off
             agent-even-gaps agent-slow-start agent-unknown-type agent-run-id-changes agent-single
             agent-handover-outside agent-execution-time-wrong agent-leaks-secret agent-order-differs
             agent-one-session-only agent-not-persisted agent-request-twice run-status-stale runs-list-500
             agent-active-frozen agent-metrics-frozen agent-run-id-missing agent-name-missing"),
        view!("runs", 1.0, agents::runs, "agent-run-lost agent-two-runs-mixed agent-blocks-echo"),
        view!("message", 1.0, agents::message, "user-message-runs-agent"),
        view!("streams", 1.0, agents::streams,
            "sse-500 sse-fake sse-silent sse-never-ends sse-wrong-run sse-wrong-type sse-bad-json
             events-stream-fabricated"),
    ]
}

/// Rehearsals looked at side by side; more would blur the views that watch the clock.
const SIDE_BY_SIDE: usize = 6;
/// Views looked through at once; most of them wait most of the time.
const VIEWS_SIDE_BY_SIDE: usize = 2;

pub async fn seen(view: &View, fault: Option<&str>) -> Facts {
    let stage = Stage::scaled(view.scale).await;
    stage.prepare().await;
    if let Some(fault) = fault {
        stage.fault(fault, true).await;
    }
    let facts = (view.look)(&stage).await;
    stage.rehearsal.shutdown().await;
    facts
}

#[test]
fn every_fault_is_seen_by_some_view() {
    let views = views();
    let seen: BTreeSet<&str> = views.iter().flat_map(|view| view.sees.split_whitespace()).collect();
    let missing: Vec<String> = catalogue()
        .iter()
        .map(|info| info.name)
        .map(|name| name.replace(":MS", ":2000"))
        .filter(|name| !seen.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), "no view sees {missing:?}");
}

/// Looks taken again, alone, where looks side by side disagreed with what they should show: a busy machine blurs
/// the views that watch the clock.
const AGAIN: usize = 3;

/// What a healthy rehearsal looks like, if two looks agree.
async fn healthy(view: &View, first: &Facts, second: &Facts) -> Result<Facts, Vec<String>> {
    let mut pair = (first.clone(), second.clone());
    for _ in 0..AGAIN {
        if pair.0 == pair.1 {
            break;
        }
        pair = (seen(view, None).await, pair.0);
    }
    match pair.0.difference(&pair.1) {
        none if none.is_empty() => Ok(pair.0),
        some => Err(some),
    }
}

/// How a fault differs from health; empty if it never does.
async fn shown(view: &View, healthy: &Facts, (fault, first): (&str, &Facts)) -> Vec<String> {
    let mut difference = healthy.difference(first);
    for _ in 0..AGAIN {
        if !difference.is_empty() {
            break;
        }
        let fresh = seen(view, None).await;
        difference = fresh.difference(&seen(view, Some(fault)).await);
    }
    difference
}

/// Looks at every fault of one view, and says what is wrong.
async fn judged(view: &View) -> Vec<String> {
    let began = std::time::Instant::now();
    let names = [None, None].into_iter().chain(view.sees.split_whitespace().map(Some));
    let looks = names.clone().map(|fault| seen(view, fault));
    let looks: Vec<Facts> = futures_util::stream::iter(looks).buffered(SIDE_BY_SIDE).collect().await;
    println!(
        "{}: {} looks in {:.1} s",
        view.name,
        looks.len(),
        began.elapsed().as_secs_f64()
    );
    let healthy = match healthy(view, &looks[0], &looks[1]).await {
        Ok(healthy) => healthy,
        Err(difference) => return vec![format!("{}: healthy differs: {difference:#?}", view.name)],
    };
    let mut wrong = Vec::new();
    for (fault, facts) in names.zip(&looks) {
        let Some(fault) = fault else { continue };
        let difference = shown(view, &healthy, (fault, facts)).await;
        if difference.is_empty() {
            wrong.push(format!("{}: {fault} changes nothing", view.name));
        }
        println!("{} | {fault} | {}", view.name, difference.join(" ; "));
    }
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_shows_and_health_is_stable() {
    let views = views();
    let judging = views.iter().map(judged);
    let wrong: Vec<Vec<String>> = futures_util::stream::iter(judging)
        .buffered(VIEWS_SIDE_BY_SIDE)
        .collect()
        .await;
    let wrong = wrong.concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
