//! The healthy contract over HTTP: statuses, shapes, ownership, tokens, breaker, control.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use stagewatch::rehearsal::{self, Options, StartError};

use super::support::{Answer, Stage, answer, claims, client, tampered};

/// Every endpoint: method, path, who asks (`-` nobody, `T` a user), status, then JSON pointers that must be
/// there. `SUB` stands for the user's sub. After ` << ` comes the JSON body to send.
pub const ENDPOINTS: &str = r#"
GET /health - 200 /status /service /version /timestamp
HEAD /health - 200
OPTIONS /health - 200 /status
GET /health/ - 200 /status
GET /api/health - 200 /status
GET /health/live - 200 /status /timestamp /environment
GET /health/ready - 200 /core_db /clickhouse_db /redis_db /details
GET /health/startup - 404 /detail
GET /api/health/live - 200 /uptime_seconds /checks/application
GET /api/health/ready - 200 /checks/postgresql/connected /uptime_seconds
GET /api/health/startup - 200 /checks/redis
GET /api/health/ - 200 /checks/clickhouse
GET /api/health/database - 200 /databases/postgresql/status /summary/total
GET /api/health/metrics - 404 /detail
GET /health/database - 200 /connected /pool_status
GET /health/schema-validation - 200 /passed /missing_tables
GET /health/agents - 200 /system_overview/total_operations /agents_count
GET /api/health/agents - 200 /system_overview/active_operations
GET /health/agents/metrics - 200 /agent_metrics /system_overview
GET /health/alerts - 200 /alerts
GET /api/monitoring/ping - 200 /status /response_time_ms
GET /api/monitoring/health - 403 /error_code /trace_id
GET /api/monitoring/health T 200 /status
GET /ws/beacon - 200 /status
GET /ws/health - 200 /status /metrics/websocket /config /errors
GET /ws/config - 200 /limits/max_connections_per_user
GET /ws - 404 /detail
GET /ws/anything - 404 /detail
GET /api/discovery/services - 200 /services/backend/ws_url /services/auth/url
GET /api/discovery/services/backend - 200 /ws_url
GET /api/discovery/services/nonesuch - 404 /error_code
GET /api/mcp/config - 200 /claude /cursor /mcp /http/endpoint /websocket/endpoint
GET /api/mcp/servers - 200 /data/0/name /data/0/version
GET /api/mcp/servers/netra-mcp/status - 200 /data/version
GET /api/mcp/servers/nonesuch/status - 200 /status
GET /api/mcp/info - 200 /tools_available/10
GET /api/mcp/tools - 200 /tools/10/name
POST /api/mcp - 200 /result/tools/10 << {"jsonrpc":"2.0","method":"tools/list","id":"n"}
POST /api/mcp - 400 /message << {"x":1}
GET /api/config/public - 200 /environment
GET /api/config/websocket - 403 /message
GET /api/config/websocket T 200 /ws_url
GET /api/config T 403 /message
GET /api/threads?limit=1 - 403 /message
GET /api/threads?limit=1 T 200
GET /api/threads?limit=101 T 422 /detail/0/loc
POST /api/threads/statistics T 501 /message << {}
GET /api/messages?thread_id=x T 200 /total_count /page /has_more
POST /api/messages - 403 /message << {"content":"x","thread_id":"x"}
POST /api/messages T 422 /detail/1/loc << {"content":""}
GET /api/messages/nonesuch T 404 /message
GET /api/chat/messages T 404 /detail
POST /api/agents/execute - 403 /message << {}
POST /api/agents/execute T 422 /detail/1/loc << {}
POST /api/agents/execute T 404 /message << {"type":"nonesuch","message":"m"}
POST /api/agents/execute T 200 /error << {"type":"triage","message":"hello"}
PUT /api/agents/execute - 405 /detail << {}
GET /api/agents/nonesuch/circuit_breaker/status - 404 /detail
POST /api/agent/run_agent - 403 /message << {}
POST /api/agent/run_agent?user_id=SUB&thread_id=x T 422 /detail/2/loc << {}
POST /api/agent/run_agent?user_id=SUB&thread_id=x T 200 /result << {"user_id":"SUB","query":"Compute 2 times 3, add 4","workloads":[]}
GET /api/agent/nonesuch/status?user_id=SUB&thread_id=x - 403 /message
GET /api/agent/nonesuch/status?user_id=SUB&thread_id=x T 404 /message
GET /api/circuit-breakers/status - 200 /summary/closed_breakers /circuit_breakers/auth_service/stats/total_calls
GET /api/metrics/circuit_breakers - 200 /circuit_breakers/auth_service/total_calls
GET /api/circuit-breakers/nonesuch - 404 /error_code
GET /api/events/stream - 404 /detail
GET /api/nonexistent-1 - 404 /detail
GET /etc/passwd - 403 /detail
GET /openapi.json - 200 /paths /openapi
"#;

#[tokio::test]
async fn every_endpoint_answers_as_intended() {
    let stage = Stage::healthy().await;
    let user = stage.login("a").await;
    for row in ENDPOINTS.replace("SUB", &user.sub).trim().lines() {
        let (line, body) = row.split_once(" << ").unwrap_or((row, ""));
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap();
        let (method, path, who, status) = (word(), word(), word(), word());
        let mut request = stage.client.request(method.parse().unwrap(), stage.url(path));
        if who == "T" {
            request = request.bearer_auth(&user.token);
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        let got = answer(request).await.unwrap();
        assert_eq!(got.status.to_string(), status, "{row}: {}", got.text);
        let json = got.json();
        for pointer in words {
            assert!(json.pointer(pointer).is_some(), "{row} lacks {pointer}: {json}");
        }
        assert_eq!(got.header("x-environment"), "staging", "{row}");
    }
}

#[tokio::test]
async fn answers_carry_the_fingerprint_of_the_application() {
    let stage = Stage::healthy().await;
    let request = stage.client.get(stage.url("/health")).header("x-request-id", "ours");
    let first = answer(request).await.unwrap();
    let second = stage.get("/health").await;
    assert_eq!(first.header("x-request-id"), "ours");
    assert_eq!(first.header("api-version"), "current");
    assert_ne!(first.header("x-trace-id"), second.header("x-trace-id"));
    assert!(second.json()["timestamp"].as_f64() > first.json()["timestamp"].as_f64());
    let auth = answer(stage.client.get(stage.auth_url("/health"))).await.unwrap();
    assert_eq!(auth.header("x-service-name"), "auth-service");
    assert_eq!(auth.json()["database_status"], "connected");
}

#[tokio::test]
async fn traversal_and_foreign_origins_are_refused() {
    let stage = Stage::healthy().await;
    for path in [
        "/api/..%2f..%2fetc/passwd",
        "/etc/passwd",
        "/a/%2e%2e/b",
        "/x?file=.env",
    ] {
        assert_eq!(raw(&stage, path).await, 403, "{path}");
    }
    let origin = |origin: &str| answer(stage.client.get(stage.url("/health")).header("origin", origin));
    let foreign = origin("https://evil.example").await.unwrap();
    assert_eq!(foreign.header("access-control-allow-origin"), "");
    let ours = origin("https://app.staging.netrasystems.ai").await.unwrap();
    assert_ne!(ours.header("access-control-allow-origin"), "");
    let preflight = |origin: &'static str| {
        let request = stage.client.request(Method::OPTIONS, stage.url("/api/threads"));
        answer(
            request
                .header("origin", origin)
                .header("access-control-request-method", "GET"),
        )
    };
    assert_eq!(preflight("https://evil.example").await.unwrap().status, 400);
    let ours = preflight("https://app.staging.netrasystems.ai").await.unwrap();
    assert_eq!((ours.status, ours.text.as_str()), (200, "OK"));
}

/// Sends a path as it stands, which URL libraries would tidy up.
async fn raw(stage: &Stage, path: &str) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(stage.rehearsal.backend_addr())
        .await
        .unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer[9..12].parse().unwrap()
}

#[tokio::test]
async fn tokens_live_as_the_contract_says() {
    let stage = Stage::healthy().await;
    let wrong = json!({ "email": "a@rehearsal.invalid", "password": "x" });
    assert_eq!(stage.auth_post("/auth/login", wrong).await.status, 401);
    assert_eq!(stage.auth_post("/auth/login", json!({})).await.status, 422);
    let user = stage.login("a").await;
    let claims: Value = claims(&user.token);
    assert_eq!(claims["iss"], "netra-auth-service");
    assert_eq!(claims["aud"], "netra-platform");
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 1800);
    let me = answer(stage.client.get(stage.auth_url("/auth/me")).bearer_auth(&user.token));
    assert_eq!(me.await.unwrap().json()["user_id"], user.sub.as_str());
    let validate = |token: &str| stage.auth_post("/auth/validate", json!({ "token": token }));
    assert_eq!(validate(&user.token).await.json()["valid"], true);
    assert_eq!(validate("garbage").await.json()["valid"], false);
    let refreshes = (0..5).map(|_| stage.auth_post("/auth/refresh", json!({ "refresh_token": user.refresh })));
    let mut statuses: Vec<u16> = futures_util::future::join_all(refreshes)
        .await
        .iter()
        .map(|it| it.status)
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401, 401, 401, 401]);
    assert_eq!(stage.get_as(&user.token, "/api/threads").await.status, 200);
    assert_eq!(stage.get_as(&tampered(&user.token), "/api/threads").await.status, 401);
    let logout = stage
        .client
        .post(stage.auth_url("/auth/logout"))
        .bearer_auth(&user.token);
    assert_eq!(answer(logout).await.unwrap().status, 200);
    assert_eq!(stage.get_as(&user.token, "/api/threads").await.status, 401);
    assert_eq!(validate(&user.token).await.json()["valid"], false);
    let open = stage.auth_post("/auth/create-token", json!({})).await;
    assert_eq!(open.status, 404);
}

#[tokio::test]
async fn threads_and_messages_belong_to_their_owner() {
    let stage = Stage::healthy().await;
    let (a, b) = (stage.login("a").await, stage.login("b").await);
    let body = json!({ "title": "synthetic-monitor 1" });
    let thread = stage.send_as(&a.token, Method::POST, "/api/threads", body).await.json();
    let id = thread["id"].as_str().unwrap();
    let path = format!("/api/threads/{id}");
    assert_eq!(
        stage.get_as(&a.token, &path).await.json()["title"],
        "synthetic-monitor 1"
    );
    assert_eq!(stage.get_as(&b.token, &path).await.status, 403);
    let renamed = json!({ "title": "new" });
    stage.send_as(&a.token, Method::PUT, &path, renamed).await;
    assert_eq!(stage.get_as(&a.token, &path).await.json()["title"], "new");
    let listed = stage.get_as(&a.token, "/api/threads").await.json();
    assert_eq!(listed[0]["id"], id);
    let message = json!({ "content": "x", "thread_id": id, "message_id": "m-1" });
    for _ in 0..2 {
        let sent = stage
            .send_as(&a.token, Method::POST, "/api/messages", message.clone())
            .await;
        assert_eq!(sent.json()["status"], "created");
    }
    let shown = stage.get_as(&a.token, &format!("{path}/messages")).await.json();
    assert_eq!(
        (&shown["total"], &shown["messages"][0]["content"]),
        (&json!(1), &json!("x"))
    );
    let foreign = stage
        .get_as(&b.token, &format!("/api/messages?thread_id={id}"))
        .await
        .json();
    assert_eq!(foreign["total_count"], 0);
    assert_eq!(
        stage.send_as(&a.token, Method::DELETE, &path, json!({})).await.status,
        200
    );
    assert_eq!(stage.get_as(&a.token, &path).await.status, 404);
    assert_eq!(stage.get_as(&a.token, "/api/threads").await.json(), json!([]));
}

#[tokio::test]
async fn http2_with_prior_knowledge_and_affinity() {
    let stage = Stage::healthy().await;
    let second = reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let response = second.get(stage.url("/health")).send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    let uptime = |answer: Answer| {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        (now.as_secs_f64() - answer.json()["uptime_seconds"].as_f64().unwrap()).round() as i64
    };
    let mut free = std::collections::HashSet::new();
    for _ in 0..4 {
        free.insert(uptime(
            answer(client().get(stage.url("/api/health/live"))).await.unwrap(),
        ));
    }
    assert_eq!(free.len(), 2, "two instances without the cookie: {free:?}");
    let first = answer(client().get(stage.url("/api/health/live"))).await.unwrap();
    let cookie = first.header("set-cookie").split(';').next().unwrap().to_owned();
    let born = uptime(first);
    for _ in 0..4 {
        let request = client().get(stage.url("/api/health/live")).header("cookie", &cookie);
        assert!((uptime(answer(request).await.unwrap()) - born).abs() <= 1);
    }
}

#[tokio::test]
async fn the_breaker_opens_and_closes_with_the_auth_service() {
    let stage = Stage::scaled(0.05).await;
    let user = stage.login("a").await;
    let mut tokens = Vec::new();
    for _ in 0..6 {
        tokens.push(stage.login("b").await.token);
    }
    assert_eq!(stage.get_as(&user.token, "/api/threads").await.status, 200);
    let breaker = async || {
        let status = stage.get("/api/circuit-breakers/status").await.json();
        status["circuit_breakers"]["auth_service"].clone()
    };
    assert_eq!(breaker().await["stats"]["total_calls"], 1);
    stage.fault("auth-down", true).await;
    let login = stage.client.get(stage.auth_url("/health")).send().await;
    assert!(login.unwrap_err().is_connect());
    for token in &tokens[..3] {
        let refused = stage.get_as(token, "/api/threads").await;
        assert_eq!(refused.status, 503);
        assert_eq!(refused.header("retry-after"), "5");
    }
    assert_eq!(breaker().await["state"], "open");
    assert_eq!(stage.get_as(&user.token, "/api/threads").await.status, 200, "cached");
    stage.fault("auth-down", false).await;
    tokio::time::sleep(Duration::from_millis(1600)).await;
    assert_eq!(breaker().await["state"], "half_open");
    for token in &tokens[3..5] {
        assert_eq!(stage.get_as(token, "/api/threads").await.status, 200);
    }
    assert_eq!(breaker().await["state"], "closed");
    assert_eq!(breaker().await["state_changes"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn the_control_listener_lists_switches_and_refuses() {
    let stage = Stage::healthy().await;
    let listed = answer(client().get(format!("http://{}/rehearsal/faults", stage.rehearsal.control_addr())))
        .await
        .unwrap()
        .json();
    let faults = listed["faults"].as_array().unwrap();
    assert_eq!(faults.len(), rehearsal::catalogue().len());
    assert!(faults.iter().all(|fault| fault["on"] == false));
    let both = json!({ "on": ["health-500", "nonesuch"] });
    let refused = stage.control("/rehearsal/faults", both).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text.contains("nonesuch"));
    assert_eq!(stage.get("/health").await.status, 200, "nothing was switched");
    assert!(stage.rehearsal.switch("nonesuch", true).is_err());
    stage.rehearsal.switch("health-500", true).unwrap();
    assert_eq!(stage.get("/health").await.status, 500);
    stage.rehearsal.switch("health-500", false).unwrap();
    assert_eq!(stage.get("/health").await.status, 200);
}

#[tokio::test]
async fn starting_names_what_is_wrong() {
    let stage = Stage::healthy().await;
    let taken = stage.rehearsal.backend_addr();
    let any = "127.0.0.1:0".parse().unwrap();
    let options = |backend, faults: &[&str]| Options {
        backend,
        auth: any,
        control: any,
        faults: faults.iter().map(|name| (*name).to_owned()).collect(),
        time_scale: 1.0,
    };
    let listen = rehearsal::start(options(taken, &[])).await.err().unwrap();
    assert!(matches!(listen, StartError::Listen { .. }) && listen.to_string().contains(&taken.to_string()));
    let unknown = rehearsal::start(options(any, &["nonesuch"])).await.err().unwrap();
    assert!(unknown.to_string().contains("nonesuch"), "{unknown}");
}
