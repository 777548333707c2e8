//! The faults that issue 2 names, and what exactly each does: what it breaks, and what it leaves as it was.

use futures_util::StreamExt;

use crate::facts::Facts;
use crate::faults::{View, seen, views};
use crate::support::{DEADLINE, Stage, answer, client};

/// One row: fault, view, then facts: `name ~ text` for a fact that must hold the text under the fault,
/// `name =` for one that must be as in health, `name -` for one that must be gone.
const SIGNATURES: &str = r#"
ws-upgrade-500 | upgrades | anonymous ~ HTTP/1.1 500 | anonymous ~ {"error":"Internal server error"} | header ~ HTTP/1.1 500 | control = | nonesuch =
ws-upgrade-500-after-auth | upgrades | anonymous = | garbage = | header ~ HTTP/1.1 500 | subprotocol ~ HTTP/1.1 500 | control =
ws-upgrade-403 | upgrades | anonymous = | header ~ HTTP/1.1 403 | header ~ text/plain | control =
ws-upgrade-502 | upgrades | header ~ HTTP/1.1 502 | header ~ Google Frontend | control ~ HTTP/1.1 502
ws-upgrade-503 | upgrades | header ~ HTTP/1.1 503 | header ~ via: 1.1 google
ws-upgrade-504 | upgrades | header ~ HTTP/1.1 504 | header ~ text/html
ws-upgrade-hang | upgrades | anonymous ~ no answer | header ~ no answer | control =
ws-wrong-accept | upgrades | header ~ HTTP/1.1 101 | header ~ accepted false | anonymous =
ws-no-welcome | answers | first frame - | opening ended - | welcome late ~ true
ws-close-1008 | answers | first frame - | opening ended ~ 1008
ws-close-1011 | answers | first frame - | opening ended ~ 1011
ws-zombie | answers | welcome is ours = | ping ~ silence | echoes ~ [false, false, false] | protocol ping =
ws-cross-user-leak | stranger | stranger heard ~ 2
ws-cross-user-leak | run | stranger hears ~ 9 | second session agrees =
auth-accepts-tampered | tokens | tampered token ~ validate true api 200 200 socket connection_established | garbage =
health-frozen | health | timestamps grow ~ false | trace ids differ = | sample 0 =
health-lies | endpoints | GET /api/health - 200 /status = | GET /health/ready - 200 /core_db /clickhouse_db /redis_db /details ~ 503
api-slow:2000 | delivery | first byte late ~ true | body =
api-500 | endpoints | GET /api/config/public - 200 /environment ~ {"error":"Internal server error"} | GET /health/ - 200 /status =
agent-silent | run | kinds ~ system_message | messages ~ user | stranger hears =
agent-mock-run | run | agents started ~ ChatAgent | gaps even ~ true | answer right ~ false
agent-duplicate-terminal | run | kinds ~ agent_completed agent_completed | answer right = | run ids =
refuse-connections | upgrades | anonymous ~ no connection | header ~ no connection
refuse-connections | health | sample 0 ~ no connection | auth /health =
"#;

fn holds(healthy: &Facts, faulty: &Facts, claim: &str) -> Result<(), String> {
    let (healthy, faulty) = (&healthy.facts, &faulty.facts);
    if let Some((name, text)) = claim.split_once(" ~ ") {
        let fact = faulty.get(name).ok_or_else(|| format!("{name} is missing"))?;
        return fact
            .contains(text)
            .then_some(())
            .ok_or_else(|| format!("{name} is {fact:?}, not {text:?}"));
    }
    if let Some(name) = claim.strip_suffix(" =") {
        let (before, after) = (healthy.get(name), faulty.get(name));
        let same = before.is_some() && before == after;
        return same
            .then_some(())
            .ok_or_else(|| format!("{name} went from {before:?} to {after:?}"));
    }
    let name = claim
        .strip_suffix(" -")
        .ok_or_else(|| format!("{claim:?} is no claim"))?;
    let fact = faulty.get(name);
    fact.is_none()
        .then_some(())
        .ok_or_else(|| format!("{name} is still {fact:?}"))
}

fn problems(healthy: &Facts, faulty: &Facts, claims: &[&str]) -> Vec<String> {
    claims
        .iter()
        .filter_map(|claim| holds(healthy, faulty, claim).err())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_of_issue_2_breaks_what_it_says_and_nothing_beside_it() {
    let views: Vec<View> = views();
    let rows = SIGNATURES.trim().lines().map(|row| {
        let views = &views;
        async move {
            let parts: Vec<&str> = row.split(" | ").collect();
            let view = views.iter().find(|view| view.name == parts[1]).unwrap();
            let mut found = Vec::new();
            // A second look for the views that watch the clock on a busy machine.
            for _ in 0..2 {
                let (healthy, faulty) = tokio::join!(seen(view, None), seen(view, Some(parts[0])));
                found = problems(&healthy, &faulty, &parts[2..]);
                if found.is_empty() {
                    break;
                }
            }
            found
                .into_iter()
                .map(|problem| format!("{}: {problem}", parts[0]))
                .collect::<Vec<_>>()
        }
    });
    let wrong: Vec<Vec<String>> = futures_util::stream::iter(rows).buffered(4).collect().await;
    let wrong = wrong.concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_closed_listener_opens_again_on_its_port() {
    let stage = Stage::healthy().await;
    let user = stage.login("a").await;
    let mut socket = stage.open(&user.token).await.unwrap();
    socket.welcome().await;
    stage.fault("refuse-connections", true).await;
    let refused = answer(client().get(stage.url("/health"))).await.unwrap_err();
    assert!(refused.is_connect(), "{refused:?}");
    let (_, end) = socket.gather(std::time::Duration::from_secs(2)).await;
    assert_eq!(end, Some(crate::support::Ended::Eof));
    stage.fault("refuse-connections", false).await;
    assert_eq!(stage.get("/health").await.status, 200);
    stage.open(&user.token).await.unwrap().welcome().await;
}

#[tokio::test]
async fn faults_can_be_combined_and_all_go_away() {
    let stage = Stage::healthy().await;
    let user = stage.login("a").await;
    let every: Vec<&str> = stagewatch::rehearsal::catalogue()
        .iter()
        .map(|fault| fault.name)
        .collect();
    let all = stage
        .control("/rehearsal/faults", serde_json::json!({ "on": every }))
        .await
        .json();
    assert!(
        all["faults"]
            .as_array()
            .unwrap()
            .iter()
            .all(|fault| fault["on"] == true)
    );
    let none = stage
        .control("/rehearsal/faults", serde_json::json!({ "off": every }))
        .await;
    assert_eq!(none.status, 200);
    assert_eq!(stage.get("/health").await.json()["status"], "healthy");
    let mut socket = stage.open(&user.token).await.unwrap();
    socket.welcome().await;
    assert_eq!(socket.echo("x").await.unwrap(), crate::support::echo_answer("x"));
}

#[tokio::test]
async fn the_counters_tell_who_asked_for_what() {
    let stage = Stage::healthy().await;
    let user = stage.login("a").await;
    for _ in 0..3 {
        stage.get("/health").await;
    }
    stage.open(&user.token).await.unwrap().welcome().await;
    let _ = stage.open("garbage").await;
    let url = format!("http://{}/rehearsal/stats", stage.rehearsal.control_addr());
    let counted = async || answer(client().get(&url)).await.unwrap().json();
    // The socket was dropped without a close frame; its place is given back all the same.
    let until = std::time::Instant::now() + DEADLINE;
    while counted().await["sockets_open"] != 0 && std::time::Instant::now() < until {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let stats = counted().await;
    assert_eq!(stats["sockets_open"], 0);
    assert_eq!(stats["requests"]["backend"]["/health"], 3);
    assert_eq!(stats["requests"]["backend"]["/ws"], 2);
    assert_eq!(stats["requests"]["auth"]["/auth/login"], 1);
    assert_eq!(stats["upgrades_by_user"][&user.sub]["accepted"], 1);
    assert_eq!(stats["upgrades_by_user"]["anonymous"]["refused"], 1);
    assert_eq!(stats["peak_requests_per_minute"]["other"], 6);
}
