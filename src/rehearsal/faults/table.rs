//! The fault table: every switch of the rehearsal, in one place, with the sentence that explains it.
//! It owns names and sentences; it must not act. Each fault acts in the one file its `Touches` names.

use super::Touches::{Agent, Api, Auth, Breaker, Edge, Health, Lifecycle, Session, Stream, Surface, Threads, Upgrade};

/// One row: what the switch is called, which part of the staging it changes, and how, in one sentence.
pub struct Row {
    /// Name used on the command line and on the control listener.
    pub name: &'static str,
    /// Which part of the staging acts it out.
    pub touches: super::Touches,
    /// One sentence about what changes on the wire.
    pub says: &'static str,
}

macro_rules! faults {
    ($($variant:ident $touches:ident $name:literal $says:literal;)*) => {
        /// Every switch, in table order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { $($variant),* }

        /// The rows, indexed by `Fault as usize`.
        pub const TABLE: &[Row] = &[
            $(Row { name: $name, touches: $touches, says: $says }),*
        ];

        /// The faults in table order, so that a row can be turned back into its switch.
        pub const ALL: &[Fault] = &[$(Fault::$variant),*];
    };
}

faults! {
    // The edge and the transport.
    RefuseConnections Edge "refuse-connections" "The backend's listener is closed and its connections are cut, so that a connect meets ECONNREFUSED.";
    Backend503 Edge "backend-503" "The Google front end answers 503 with HTML for every backend request, upgrades included.";
    Backend503Late Edge "backend-503-late" "The Google front end answers 503 after twelve seconds, as while an instance fails to start.";
    Edge429 Edge "edge-429" "Cloud Armor answers 429 with HTML and Retry-After for everything outside /api.";
    EdgeRateLimit Edge "edge-rate-limit" "Cloud Armor's real limits are enforced per address: 100 requests a minute outside /api, 1000 inside, then 429 and a ban.";
    BodySlow Edge "body-slow" "Bodies of /api and /health arrive in two halves, three seconds apart.";
    BodyCut Edge "body-cut" "The connection breaks in the middle of every /api and /health body.";
    ApiSlow Edge "api-slow:MS" "The first byte of /api and /health answers is delayed by MS milliseconds.";
    Api500 Edge "api-500" "Every /api request is answered 500 by the outermost middleware.";
    Http2Broken Edge "http2-broken" "HTTP/2 connections are closed before the first answer; HTTP/1.1 works.";
    UnknownRoute200 Edge "unknown-route-200" "Paths that do not exist are answered 200 with an empty object.";
    TraversalOpen Edge "traversal-open" "The path traversal filter is off and /etc/passwd is answered 200.";
    CorsReflects Edge "cors-reflects-anyone" "Any Origin is reflected as allowed, with credentials.";
    EnvironmentWrong Edge "environment-header-wrong" "The x-environment header says production.";
    TraceConstant Edge "trace-id-constant" "Every answer carries the same x-trace-id.";
    AffinityIgnored Edge "affinity-ignored" "The load balancer sets its cookie but ignores it: every request goes to the next instance.";
    AffinityNoCookie Edge "affinity-no-cookie" "The load balancer sets no affinity cookie.";
    ErrorsAs500 Edge "errors-as-500" "Application errors 400, 404, 405, 408, 429 and 501 come out as 500, the truth only in details.status_code.";
    Validation500 Edge "validation-500" "Request validation failures come out as 500 instead of 422.";
    ErrorLeaks Edge "error-leaks-internals" "Error messages carry Python text and an absolute path.";
    ErrorCodeMissing Edge "error-code-missing" "Error bodies lack error_code and message.";
    ErrorHtml Edge "error-html" "Errors of the application are HTML pages instead of JSON.";

    // Health, readiness, dependencies.
    HealthFrozen Health "health-frozen" "Health bodies carry the timestamp of the moment this was switched on.";
    HealthLies Health "health-lies" "The database is away while /health and /api/health still say healthy.";
    Health500 Health "health-500" "/health and /api/health answer 500 although nothing is wrong.";
    HealthDegraded Health "health-degraded" "/health answers 200 but its status says degraded.";
    HealthFlaps Health "health-flaps" "/health and /api/health answer 503 on every second connection.";
    HealthClockOff Health "health-clock-off" "Health timestamps lag one minute behind.";
    HealthHtml Health "health-html" "/health answers 200 with an HTML page.";
    HealthLive404 Health "health-live-404" "/health/live does not exist.";
    HealthSlash404 Health "health-slash-404" "/health/ with a trailing slash does not exist.";
    Head405 Health "head-405" "HEAD on the health routes is refused with 405.";
    Options405 Health "options-405" "OPTIONS on the health routes is refused with 405.";
    VersionMixed Health "version-mixed" "/health/live reports another version than /health.";
    UptimeFrozen Health "uptime-frozen" "uptime_seconds of /api/health/live never moves.";
    DatabaseDown Health "database-down" "PostgreSQL is away, and everything that needs it says 503 honestly.";
    RedisDown Health "redis-down" "Redis is away; core calls go on and the loss is stated (no check should fail but those that judge Redis).";
    DatabaseFlaps Health "database-flaps" "Every second call that needs the database answers 500 while /health is fine.";
    DegradedBreaksCore Health "degraded-breaks-core" "Redis is away and takes the thread API with it (503).";
    Readiness422 Health "readiness-422" "Readiness endpoints answer 422 instead of 200 or 503.";
    ReadyEmpty200 Health "ready-empty-200" "Readiness endpoints answer 200 with an empty body.";
    ReadinessDisagrees Health "readiness-disagrees" "/api/health/database says PostgreSQL failed while /health/ready says connected.";
    SchemaFailed Health "schema-failed" "/health/schema-validation says passed false.";
    MonitoringPing503 Health "monitoring-ping-503" "/api/monitoring/ping answers 503 while everything else is well.";
    WsHealthDegraded Health "ws-health-degraded" "/ws/health says degraded with an error although sockets work.";
    InfoEndpoints500 Health "info-endpoints-500" "/ws/config, /ws/stats, /health/alerts and /api/system/info answer 500.";
    WsBeaconMissing Health "ws-beacon-missing" "/ws/beacon answers 404.";

    // The auth service and tokens.
    AuthDown Auth "auth-down" "The auth listener is closed; the backend cannot validate new tokens.";
    Auth503 Auth "auth-503" "The auth host answers 503 from the front end and the backend cannot reach it.";
    AuthUnhealthy Auth "auth-health-unhealthy" "/auth/health says unhealthy while the auth service works.";
    Login500 Auth "login-500" "Login answers 500.";
    Login401 Auth "login-401" "Login answers 401 for right passwords.";
    LoginSlow Auth "login-slow" "Login takes three seconds.";
    DbOutageAs401 Auth "db-outage-as-401" "The database is away and login calls it wrong password (401).";
    AuthOutageAs401 Auth "auth-outage-as-401" "The backend cannot reach the auth service and answers 401 for new valid tokens instead of 503.";
    ExpiresInWrong Auth "expires-in-wrong" "expires_in says half of the token's real lifetime.";
    TokenWrongIssuer Auth "token-wrong-issuer" "Issued tokens name another issuer, which the service accepts itself.";
    RefreshReusable Auth "refresh-reusable" "A refresh token can be used any number of times.";
    RefreshRace500 Auth "refresh-race-500" "A refresh token that was used already is answered 500.";
    RefreshSameToken Auth "refresh-same-token" "Refresh hands out a token with the old jti.";
    LogoutKeeps Auth "logout-not-revoking" "Logout answers 200 and revokes nothing for the backend.";
    CreateTokenOpen Auth "create-token-open" "/auth/create-token is reachable without any credential.";
    AcceptsTampered Auth "auth-accepts-tampered" "A token with a broken signature is accepted everywhere.";
    HttpAcceptsTampered Auth "http-accepts-tampered" "The backend's HTTP side accepts a token with a broken signature.";
    WsAcceptsTampered Auth "ws-accepts-tampered" "The WebSocket gateway accepts a token with a broken signature.";
    AlgNone Auth "alg-none-accepted" "A token with alg none is accepted everywhere.";
    ExpiredAccepted Auth "expired-accepted" "The backend accepts expired tokens over HTTP and WebSocket.";
    ValidateAlwaysTrue Auth "validate-always-valid" "/auth/validate says valid for anything.";
    SecretMismatch Auth "jwt-secret-mismatch" "The backend refuses every token that the auth service calls valid, over HTTP and WebSocket.";
    MeWrongUser Auth "me-wrong-user" "/auth/me describes somebody else.";
    TamperedToken500 Auth "tampered-token-500" "A token with a broken signature is answered 500 over HTTP.";

    // Public surface.
    Discovery500 Surface "discovery-500" "/api/discovery/services answers 500.";
    DiscoveryLocalhost Surface "discovery-localhost" "Discovery advertises ws://localhost:8000/ws.";
    DiscoveryDeadUrl Surface "discovery-dead-url" "Discovery advertises a backend url at which nobody listens.";
    McpConfigLocalhost Surface "mcp-config-localhost" "/api/mcp/config advertises localhost:8000.";
    McpCanaryConnected Surface "mcp-canary-connected" "The status of a server that does not exist is connected.";
    McpServersEmpty Surface "mcp-servers-empty" "/api/mcp/servers lists nothing.";
    McpVersionDisagrees Surface "mcp-version-disagrees" "The status of netra-mcp names another version than the list.";
    McpToolsEmpty Surface "mcp-tools-list-empty" "JSON-RPC tools/list is empty while GET /api/mcp/tools lists eleven.";
    McpWrongId Surface "mcp-wrong-id" "JSON-RPC answers do not echo our id.";
    McpInfoDisagrees Surface "mcp-info-disagrees" "/api/mcp/info names fewer tools than /api/mcp/tools.";
    McpNoRunAgent Surface "mcp-no-run-agent" "The tool run_agent is gone from all lists.";
    ConfigEnvironmentWrong Surface "config-environment-wrong" "/api/config/public says environment development.";
    ConfigWsUrlLocalhost Surface "config-ws-url-localhost" "/api/config/websocket advertises ws://localhost:8000/ws.";
    OpenapiMissing Surface "openapi-missing" "/openapi.json answers 404.";

    // Threads and messages.
    ThreadCrud500 Threads "thread-crud-500" "Creating, reading, renaming and archiving threads answers 500.";
    ThreadsList500 Threads "threads-list-500" "GET /api/threads answers 500.";
    ThreadsListShape Threads "threads-list-shape" "GET /api/threads answers an object instead of a list.";
    ThreadsElementShape Threads "threads-element-shape" "The elements of GET /api/threads lack object, created_at and message_count.";
    ThreadsPublic Threads "threads-public" "GET /api/threads answers 200 without a token.";
    ThreadsUnstable Threads "threads-unstable" "GET /api/threads lists another thread each time.";
    ThreadForeignRead Threads "thread-foreign-read" "Anybody with a token can read anybody's thread.";
    ThreadTitleNotSaved Threads "thread-title-not-saved" "PUT on a thread answers 200 and keeps the old title.";
    ThreadPutMangled Threads "thread-put-mangled" "PUT on a thread stores a title that nobody sent.";
    ThreadDeleteIgnored Threads "thread-delete-ignored" "DELETE on a thread answers 200 and archives nothing.";
    Bare503 Threads "bare-503" "Every third GET /api/threads answers 503 without Retry-After.";
    MessagesCrossUser Threads "messages-cross-user" "GET /api/messages?thread_id shows other users' messages.";
    MessagesAudRefused Threads "messages-aud-refused" "GET /api/messages answers 401 for tokens that every other route accepts.";
    MessagesPublic Threads "messages-public" "/api/messages answers without a token.";
    MessagesNoPagination Threads "messages-no-pagination" "GET /api/messages lacks total_count, page and has_more.";
    MessagesMissing Threads "messages-missing" "/api/messages does not exist.";
    MessageDuplicates Threads "message-duplicates" "A message_id sent twice in one thread is stored twice.";

    // The agents' HTTP side.
    ExecutePublic Api "execute-public" "/api/agents/execute works without a token.";
    ExecuteFabricated Api "execute-fabricated" "/api/agents/execute answers success with a fallback text for any agent type.";
    RunAgent500 Api "run-agent-500" "/api/agent/run_agent answers 500 whatever is sent.";
    RunStatus500 Api "run-status-500" "/api/agent/{run}/status answers 500.";
    RunStatusFabricated Api "run-status-fabricated" "/api/agent/{run}/status says completed for runs that never existed.";
    RunStatusPublic Api "run-status-public" "/api/agent/{run}/status needs no token.";
    RunStatusStale Api "run-status-stale" "/api/agent/{run}/status says pending for ever.";
    RunsList500 Api "runs-list-500" "/api/agent/thread/{id}/runs answers 500.";
    AgentMetricsFrozen Api "agent-metrics-frozen" "/health/agents/metrics never changes.";
    AgentOverviewInconsistent Api "agent-overview-inconsistent" "/health/agents claims more failures than operations.";
    AgentActiveFrozen Api "agent-active-frozen" "/health/agents always says that no operation is active.";
    BreakerFrozen Breaker "breaker-frozen" "The circuit breaker's counters never move.";
    BreakerIllegal Breaker "breaker-illegal-transition" "The breaker publishes a transition from closed to half_open.";
    BreakerStuckOpen Breaker "breaker-stuck-open" "The auth_service breaker reports open although the service works.";
    BreakerSumWrong Breaker "breaker-sum-wrong" "The breaker summary does not add up.";
    BreakerUnknown200 Breaker "breaker-unknown-200" "A breaker that does not exist is answered 200.";
    BreakerCanaryClosed Breaker "breaker-canary-closed" "The breaker of an agent that does not exist is CLOSED.";
    BreakerMetricsConstant Breaker "breaker-metrics-constant" "/api/metrics/circuit_breakers claims traffic with fixed numbers.";

    // Server-sent events.
    Sse500 Stream "sse-500" "/api/agent/stream answers 500.";
    SseFake Stream "sse-fake" "/api/agent/stream sends two frames, both after the run has ended.";
    SseSilent Stream "sse-silent" "/api/agent/stream sends headers and then nothing.";
    SseNeverEnds Stream "sse-never-ends" "/api/agent/stream goes on with comments after the run has ended.";
    SseWrongRun Stream "sse-wrong-run" "/api/agent/stream carries another run's id.";
    SseWrongType Stream "sse-wrong-type" "/api/agent/stream says content-type application/json.";
    SseBadJson Stream "sse-bad-json" "/api/agent/stream sends data that is not JSON.";
    EventsStreamFabricated Stream "events-stream-fabricated" "/api/events/stream exists and sends sample events of nobody's run.";

    // The WebSocket upgrade.
    Upgrade500 Upgrade "ws-upgrade-500" "The upgrade answers 500 for whoever asks, with a JSON body.";
    Upgrade500AfterAuth Upgrade "ws-upgrade-500-after-auth" "The upgrade answers 500 for a valid token only; others get their proper refusal.";
    Upgrade500Concurrent Upgrade "ws-500-under-concurrency" "The upgrade answers 500 while another one is under way.";
    Upgrade500OneInstance Upgrade "ws-500-one-instance" "The upgrade answers 500 on one of the two instances.";
    Upgrade401 Upgrade "ws-upgrade-401" "The upgrade answers 401 for whoever asks.";
    Upgrade403 Upgrade "ws-upgrade-403" "The upgrade answers an empty 403 for whoever asks, as the application does.";
    Upgrade404 Upgrade "ws-upgrade-404" "The upgrade answers 404.";
    Upgrade429 Upgrade "ws-upgrade-429" "The upgrade answers 429 from the front end, with Retry-After.";
    Upgrade502 Upgrade "ws-upgrade-502" "The upgrade answers 502 from the front end.";
    Upgrade503 Upgrade "ws-upgrade-503" "The upgrade answers 503 from the front end.";
    Upgrade504 Upgrade "ws-upgrade-504" "The upgrade answers 504 from the front end.";
    Upgrade301 Upgrade "ws-upgrade-301" "The upgrade is redirected to another host.";
    Upgrade200 Upgrade "ws-upgrade-200" "The upgrade is answered 200 with a page.";
    Edge403 Upgrade "edge-403" "Cloud Armor refuses every upgrade with an HTML 403; plain HTTP works.";
    UpgradeHang Upgrade "ws-upgrade-hang" "The upgrade request is never answered.";
    UpgradeClose Upgrade "ws-upgrade-close" "The connection is closed instead of answering the upgrade.";
    UpgradeSlow Upgrade "ws-upgrade-slow" "The upgrade takes three seconds.";
    Http10_503 Upgrade "ws-http10-503" "The upgrade is answered HTTP/1.0 503.";
    Split500 Upgrade "ws-500-split-body" "The upgrade answers 500 whose body follows in a later segment.";
    Chunked500 Upgrade "ws-500-chunked" "The upgrade answers 500 with a chunked body.";
    NoUpgradeHeader Upgrade "ws-no-upgrade-header" "The 101 lacks its Upgrade and Connection headers.";
    WrongAccept Upgrade "ws-wrong-accept" "The 101 carries a wrong Sec-WebSocket-Accept.";
    BadSubprotocol Upgrade "ws-bad-subprotocol" "The 101 chooses a subprotocol that was not offered.";
    UnaskedExtension Upgrade "ws-unasked-extension" "The 101 names an extension that was not offered.";
    HeaderDropped Upgrade "ws-header-dropped" "The load balancer drops Authorization on upgrades.";
    SubprotocolDropped Upgrade "ws-subprotocol-dropped" "The load balancer drops Sec-WebSocket-Protocol on upgrades.";
    AcceptsAnonymous Upgrade "ws-accepts-anonymous" "The socket welcomes clients without a token.";
    AnyPath Upgrade "ws-any-path" "WebSocket paths that do not exist are accepted.";
    WsTestMissing Upgrade "ws-test-missing" "/ws/test does not exist.";
    AudRefused Upgrade "ws-aud-refused" "The socket refuses tokens that carry an audience; HTTP accepts them.";
    NumericSubRefused Upgrade "numeric-sub-refused" "The socket refuses users whose sub is 18 to 21 digits.";
    RefusedAfter101 Upgrade "ws-refusal-after-101" "Variant of later versions: bad tokens get 101, an error frame and close 1008.";

    // The session after a 101.
    NoWelcome Session "ws-no-welcome" "After the 101 the server sends and answers nothing.";
    WelcomeLate Session "ws-welcome-late" "The welcome comes after seven seconds.";
    WelcomeWrongUser Session "ws-welcome-wrong-user" "The welcome names another user.";
    WelcomeNotReady Session "ws-welcome-not-ready" "The welcome says connection_ready false.";
    ConnectionIdRepeats Session "ws-connection-id-repeats" "Every session gets the same connection_id.";
    Close1008 Session "ws-close-1008" "After the 101 the session is closed with 1008.";
    Close1011 Session "ws-close-1011" "After the 101 the session is closed with 1011.";
    AuthRequired Session "ws-auth-required" "After the 101 comes AUTH_REQUIRED naming a class, then 1008.";
    FactoryInitFailed Session "ws-factory-init-failed" "After the 101 comes FACTORY_INIT_FAILED, then 1011.";
    ProtocolMissing Session "ws-protocol-missing" "Clients that offer no subprotocol get 101, an error naming websocket_protocol [MISSING], then 1008.";
    StartupIncomplete Session "ws-startup-incomplete" "After the 101 comes STARTUP_INCOMPLETE, then 1011.";
    CloseAfterWelcome Session "ws-1011-after-welcome" "The session is closed with 1011 right after the welcome.";
    ManagerLeak Session "ws-manager-leak" "Closed sessions are never released: the sixth of a user meets AUTH_REQUIRED, maximum number of managers.";
    LimitAsAuth Session "ws-limit-as-auth-required" "The connection limit is reported as AUTH_REQUIRED.";
    Zombie Session "ws-zombie" "After the welcome application messages are never answered, while protocol pings are.";
    ZombieAfterErrors Session "ws-zombie-after-errors" "Bad frames vanish, and after five of them the session stops answering without closing.";
    SilentDrops Session "ws-silent-drops" "Arrays, numbers, binary frames and wrongly typed members vanish silently.";
    OversizeSilent Session "oversize-silent" "Frames above the limit vanish silently.";
    SizeLimitLow Session "size-limit-low" "Frames above 4096 bytes are refused although 8192 is advertised.";
    FragmentsLost Session "fragments-lost" "Messages that come in fragments vanish.";
    FormatSilent Session "format-errors-silent" "Invalid JSON is not answered.";
    UnknownTypeSilent Session "unknown-type-silent" "Unknown types are not acknowledged.";
    EchoLost Session "echo-lost" "Every third echo is lost.";
    EchoDuplicated Session "echo-duplicated" "Every echo comes twice.";
    EchoReordered Session "echo-reordered" "Of two echoes close together the second comes first.";
    EchoSlow Session "echo-slow" "Every echo is delayed by 150 ms.";
    EchoWrongId Session "echo-wrong-id" "Echoes carry another id.";
    PingUnanswered Session "ping-unanswered" "The JSON ping is not answered.";
    AckMissing Session "ack-missing" "user_message is not acknowledged.";
    AckWrongId Session "ack-wrong-id" "The acknowledgement names another message.";
    AckSlow Session "ack-slow" "The acknowledgement takes 400 ms.";
    HeartbeatMissing Session "heartbeat-missing" "No JSON heartbeat is ever sent.";
    HeartbeatIrregular Session "heartbeat-irregular" "Heartbeats come at twice the advertised interval.";
    NoKeepalive Session "ws-no-keepalive" "The server sends no protocol pings and never notices a dead peer.";
    BurstCloses Session "burst-closes" "More than 40 messages within one second close the session with 1011.";
    CutEarly Session "ws-cut-early" "Every session is cut without a close frame after a tenth of its time.";
    ReconnectRefused Session "ws-reconnect-refused" "After an abrupt loss the user is locked out.";
    CrossUserLeak Session "ws-cross-user-leak" "What one user is sent, every other user is sent too.";
    SocketStarved Session "ws-socket-starved" "One socket in three answers 300 ms late.";
    CloseUnanswered Session "ws-close-unanswered" "The client's close frame is not answered.";
    StartAgentSilent Session "start-agent-silent" "start_agent without user_request is not answered.";
    UserMessageRuns Session "user-message-runs-agent" "Variant of later versions: user_message starts an agent as well.";
    AgentBlocksEcho Session "agent-blocks-echo" "A session answers nothing while its agent run goes on.";

    // Agent runs.
    ShapeB Agent "events-shape-b" "Variant: lifecycle events in the manager's shape (data).";
    ShapeC Agent "events-shape-c" "Variant: lifecycle events in the flat shape.";
    AgentSilent Agent "agent-silent" "start_agent is acknowledged and no event ever comes.";
    AgentMock Agent "agent-mock-run" "Runs are five canned events 100 ms apart by ChatAgent.";
    AgentFails Agent "agent-fails" "Runs end in agent_error.";
    AgentWrongAnswer Agent "agent-wrong-answer" "The computed number is off by one.";
    AgentNoTerminal Agent "agent-no-terminal" "Runs never end.";
    AgentDuplicateTerminal Agent "agent-duplicate-terminal" "The terminal event comes twice.";
    AgentExtraAfterTerminal Agent "agent-extra-after-terminal" "An event of the run follows its terminal event.";
    AgentNoThinking Agent "agent-no-thinking" "No agent_thinking is sent.";
    AgentThinkingFirst Agent "agent-thinking-first" "agent_thinking comes before agent_started.";
    AgentNoToolCompleted Agent "agent-no-tool-completed" "tool_executing is never followed by tool_completed.";
    AgentTimestampsBackwards Agent "agent-timestamps-backwards" "Event timestamps run backwards.";
    AgentClockOff Agent "agent-clock-off" "Event timestamps are a minute old.";
    AgentEvenGaps Agent "agent-even-gaps" "All gaps between events are 100 ms.";
    AgentSlowStart Agent "agent-slow-start" "agent_started takes 900 ms.";
    AgentUnknownType Agent "agent-unknown-type" "Runs contain an event of a type outside the vocabulary.";
    AgentRunIdChanges Agent "agent-run-id-changes" "The run_id changes within a run.";
    AgentRunIdMissing Agent "agent-run-id-missing" "Events carry no run_id.";
    AgentNameMissing Agent "agent-name-missing" "Events carry no agent_name.";
    AgentSingle Agent "agent-single" "Only one agent works; there is no hand-over.";
    AgentHandoverOutside Agent "agent-handover-outside" "The inner agent starts before the outer one.";
    AgentExecutionTimeWrong Agent "agent-execution-time-wrong" "execution_time_ms is ten times too long.";
    AgentLeaksSecret Agent "agent-leaks-secret" "Tool parameters carry an unredacted api key.";
    AgentRunLost Agent "agent-run-lost" "A run whose socket dies is dropped and never known to end.";
    AgentRunsMixed Agent "agent-two-runs-mixed" "Two runs of one user at once carry each other's ids.";
    AgentOrderDiffers Agent "agent-order-differs" "Two sessions of one user see the events in different order.";
    AgentOneSession Agent "agent-one-session-only" "Only the asking session gets the events.";
    AgentNotPersisted Agent "agent-not-persisted" "The answer is not stored in the thread.";
    AgentRequestTwice Agent "agent-request-twice" "The user's request is stored twice in the thread.";

    // Starts and restarts.
    StartupOrderWrong Lifecycle "startup-order-wrong" "After a restart readiness is fine before /health is; then /health is fine and readiness answers 500 for a while.";
    ColdStartSlow Lifecycle "cold-start-slow" "A restart takes six seconds longer.";
    RestartAbrupt Lifecycle "restart-abrupt" "A restart cuts sockets without close 1012.";
    RestartLosesData Lifecycle "restart-loses-data" "A restart loses threads and messages.";
}
