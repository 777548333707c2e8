//! Every limit of the daemon, named, with its reason. At a limit it is counted and said, never silent.

use std::time::Duration;

/// Diagnosis rules over all files: each is evaluated for every iteration.
pub const DIAGNOSIS_RULES_MAX: usize = 200;
/// Rows that one quoted expression of a diagnosis rule shows: the reader needs an example and the number of the others.
pub const QUOTED_ROWS_MAX: usize = 4;
/// Characters of an answer's body or a frame in a quote.
pub const QUOTED_CHARS_MAX: usize = 160;
/// Bytes of an HTTP body that are read and judged (bodies of the targets we know stay below 20 KiB).
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a refused upgrade's body that are stored (design.md, invariant 3).
pub const REFUSED_BODY_BYTES_MAX: usize = 64 * 1024;
/// Time that the rest of a refused upgrade's body may take, so that an endless one costs nothing.
pub const REFUSED_BODY_WITHIN: Duration = Duration::from_millis(500);
/// Bytes of a text kept as an excerpt in a transcript.
pub const EVIDENCE_EXCERPT_BYTES: usize = 4 * 1024;
/// Bytes of response head, the sum of names and values.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Pieces of a body whose arrival is recorded.
pub const BODY_CHUNKS_MAX: usize = 256;
/// Depth of JSON that is parsed; serde_json's own limit.
pub const JSON_DEPTH_MAX: usize = 128;
/// Bytes of one WebSocket message.
pub const WS_MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Read buffer of a socket: small, so that a flood cannot hold a poll (faults.md section 0.2).
pub const WS_READ_BUFFER_BYTES: usize = 8 * 1024;
/// Write buffer of a socket: bounds the pongs that a ping flood can queue.
pub const WS_WRITE_BUFFER_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Control frames in one second before the session is called a flood.
pub const WS_CONTROL_FRAMES_PER_SECOND_MAX: u32 = 100;
/// Data frames waiting in a session for a step to read them; beyond it the oldest are dropped and counted.
pub const WS_QUEUE_FRAMES_MAX: usize = 1024;
/// Frames kept by one receive or collect step.
pub const FRAMES_PER_STEP_MAX: usize = 400;
/// Bytes of one SSE line.
pub const SSE_LINE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one SSE event.
pub const SSE_EVENT_BYTES_MAX: usize = 256 * 1024;
/// Events kept by one SSE step.
pub const SSE_EVENTS_MAX: usize = 200;
/// Steps of one scenario, repetitions counted.
pub const STEPS_PER_RUN_MAX: usize = 2_000;
/// Entries of one transcript.
pub const ENTRIES_PER_TRANSCRIPT_MAX: usize = 2_000;
/// Deadline of a step that names none.
pub const STEP_WITHIN: Duration = Duration::from_secs(10);
/// Deadline of a scenario that names none.
pub const SCENARIO_DEADLINE: Duration = Duration::from_secs(60);
/// Time that clean-up steps may take beyond the scenario's deadline.
pub const CLEANUP_WITHIN: Duration = Duration::from_secs(5);
/// Name resolution, TCP and TLS together, within the step's deadline.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of one CEL expression.
pub const EXPRESSION_BYTES_MAX: usize = 4 * 1024;
/// Values shown for one false expectation: enough to see what was compared, few enough to read.
pub const COMPARED_VALUES_MAX: usize = 8;
/// Characters of one shown value.
pub const COMPARED_CHARS_MAX: usize = 300;
/// Bytes that a compiled regular expression may take; the crate's own guard against patterns that explode.
pub const REGEX_BYTES_MAX: usize = 1024 * 1024;
/// Compiled regular expressions kept; patterns are written in the configuration, so more than this means computed ones.
pub const REGEX_CACHE_MAX: usize = 512;
/// Items that `range(n)` makes at most.
pub const RANGE_MAX: usize = 10_000;
/// Bytes of one configuration file.
pub const CONFIG_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a close reason (RFC 6455 section 5.5).
pub const CLOSE_REASON_BYTES_MAX: usize = 123;
/// Bytes of a failure's detail and of a message of an expectation.
pub const DETAIL_BYTES_MAX: usize = 1024;
// Schedule.
/// Wakes of one scenario (calendar slots, run-now requests) that may wait while it runs; more are counted as missed.
pub const WAKES_PER_SCENARIO_MAX: usize = 8;
/// Finished runs waiting to be judged; the scheduler waits when it is full, so that nothing is lost.
pub const EVENTS_WAITING_MAX: usize = 256;
/// Smallest channel of the calendar scheduler; its default loses firings on busy machines (dependencies.md section 4).
pub const CRON_CHANNEL_MIN: usize = 1024;
/// Shortest time between two starts of first runs, so that a start does not look like a flood.
pub const FIRST_RUNS_SPACING: Duration = Duration::from_millis(100);
/// Beyond two periods, how much later the watchdog calls a scenario stalled.
pub const STALL_GRACE: Duration = Duration::from_secs(5);
/// How long stopping waits for runs in flight before it cancels them.
pub const DRAIN_WITHIN: Duration = Duration::from_secs(3);
/// Longest pause of a resident scenario between two failing runs.
pub const RESIDENT_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Commands of the alert fold waiting to be carried out; beyond it they are counted as skipped.
pub const COMMANDS_WAITING_MAX: usize = 32;
/// Attempts of one confirm burst, whatever is asked for.
pub const BURST_ATTEMPTS_MAX: u32 = 10;
/// Time in which commands to confirm the same socket and credential are one burst.
pub const BURST_MERGED_FOR: Duration = Duration::from_secs(5);
/// Time in which a scenario on confirm does not run again: both credentials of a socket fail together more often than not,
/// and a target that flickers must not be asked all its questions each time (scaled).
pub const SIBLINGS_EVERY: Duration = Duration::from_secs(30);
/// How long what a scenario on confirm saw explains anything.
pub const CONFIRM_EVIDENCE_FOR: Duration = Duration::from_secs(300);
// Alerts.
/// How long after its last lease a kept alert is gone on with; the rules hold their last state as long. What is older has ended for
/// everybody, and is confirmed anew if it still holds.
pub const KEPT_FOR: Duration = Duration::from_secs(3600);
/// How often the control addresses are looked at without an occasion; they are other people's.
pub const CONTROLS_EVERY: Duration = Duration::from_secs(60);
/// How often while some of them do not answer, so that a suspicion of our own network ends when it should.
pub const CONTROLS_AGAIN: Duration = Duration::from_secs(15);
/// Alertmanagers of one configuration; each is a task of its own.
pub const ALERTMANAGERS_MAX: usize = 16;
/// Longest time between two pushes: a restarted Alertmanager knows nothing until then (observability.md A5).
pub const RESEND_MAX: Duration = Duration::from_secs(30);
/// Longest lease: what recovered stays firing that long.
pub const LEASE_MAX: Duration = Duration::from_secs(3600);
/// Deadline of one push unless configured otherwise.
pub const PUSH_WITHIN: Duration = Duration::from_secs(3);
/// Alerts of one push.
pub const PUSH_BATCH_ALERTS_MAX: usize = 64;
/// First pause after a failed push; it doubles up to the time between two pushes.
pub const PUSH_RETRY_MIN: Duration = Duration::from_millis(500);
/// Lease of the heartbeat: who watches it must not be woken by one restart.
pub const HEARTBEAT_LEASE: Duration = Duration::from_secs(300);
/// Time in which the Alertmanagers say at start what they still have of ours.
pub const ADOPT_WITHIN: Duration = Duration::from_secs(2);
/// Bytes of an Alertmanager's list: some thousand alerts.
pub const ADOPTED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a page that was taken is looked for in Alertmanager's list.
pub const VISIBLE_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked for.
pub const VISIBLE_LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often a name that stands for several Alertmanagers is resolved.
pub const RESOLVE_AGAIN: Duration = Duration::from_secs(30);
/// Deadline of one such resolution.
pub const RESOLVE_WITHIN: Duration = Duration::from_secs(5);
/// Addresses of one such name.
pub const ADDRESSES_MAX: usize = 16;
/// Longest maintenance that somebody may begin; recurring windows are configuration.
pub const MAINTENANCE_MAX: Duration = Duration::from_secs(24 * 3600);
/// How far back an annotation may lie.
pub const ANNOTATION_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// Characters of the text of maintenance or an annotation.
pub const NOTICE_CHARS_MAX: usize = 300;
/// Maintenance going on at once that people have begun.
pub const MAINTENANCE_AT_ONCE_MAX: usize = 100;
/// Annotations read at once.
pub const ANNOTATIONS_READ_MAX: u32 = 200;
/// How long a drill waits for a right answer of each watch before it breaks anything.
pub const DRILL_READY_WITHIN: Duration = Duration::from_secs(20);
/// How often a drill looks whether the page is there.
pub const DRILL_LOOK_EVERY: Duration = Duration::from_millis(50);
/// Deadline of one question of a drill to Alertmanager.
pub const DRILL_ASK_WITHIN: Duration = Duration::from_secs(3);
/// Longest lease of a drill's alerts: they end soon after it.
pub const DRILL_LEASE_MAX: Duration = Duration::from_secs(60);
// History.
/// Rows waiting for the history writer; beyond it the oldest are dropped and counted (faults.md D01).
pub const HISTORY_ROWS_WAITING_MAX: usize = 10_000;
/// Rows written in one transaction.
pub const HISTORY_BATCH_ROWS_MAX: usize = 500;
/// Bytes of a transcript that is stored; a larger one is stored without its entries and counted.
pub const HISTORY_TRANSCRIPT_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Bytes of a packed text that is read back: everything we store is smaller.
pub const HISTORY_TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Of transcripts and judgements that went well, one in so many is kept …
pub const HISTORY_SAMPLED_ONE_IN: u32 = 20;
/// … and at least one in this time, so that there is always a good one to compare a failure with.
pub const HISTORY_SAMPLED_AT_LEAST: Duration = Duration::from_secs(3600);
/// Days that the history is kept unless configured otherwise: the longest window that shipped checks judge is 7.
pub const HISTORY_DAYS: u32 = 30;
/// Bytes of the history file, unless configured otherwise, above which texts and then rows go earlier, oldest first.
pub const HISTORY_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// Smallest size that may be configured: below it the file would be busy with shrinking.
pub const HISTORY_BYTES_MIN: u64 = 4 * 1024 * 1024;
/// Size up to which the history file is checked as a whole at start, so that a start stays below two seconds.
pub const HISTORY_CHECKED_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Bytes of the history when it is kept in memory.
pub const HISTORY_MEMORY_BYTES: u64 = 64 * 1024 * 1024;
// Incidents.
/// Differences shown between the last good evidence and the first bad.
pub const CHANGES_MAX: usize = 40;
/// Good runs of a scenario whose phases are remembered for the median.
pub const PHASES_REMEMBERED: usize = 20;
/// Incidents open at once; a failure beyond it joins the newest.
pub const INCIDENTS_OPEN_MAX: usize = 50;
/// Members of one incident; more are only counted in their checks.
pub const INCIDENT_MEMBERS_MAX: usize = 1_000;
/// How long after its opening an incident's diagnosis is refined with what else is seen: the confirm burst takes two seconds.
pub const REFINED_WITHIN: Duration = Duration::from_secs(20);
/// Runs of one scenario that are evidence together: a first wrong answer, a burst of attempts, and those that go on beside it.
pub const EVIDENCE_RUNS_MAX: usize = 5;
/// How much older than the newest run of its scenario another may be and still be evidence.
pub const EVIDENCE_FOR: Duration = Duration::from_secs(60);
/// How often the daemon stores an iteration (scaled).
pub const ITERATION_EVERY: Duration = Duration::from_secs(3600);
/// Incidents or iterations read at once.
pub const HISTORY_PAGE_MAX: u32 = 500;
/// Runs waiting to be folded into incidents; beyond it they are dropped and counted.
pub const INCIDENT_RUNS_WAITING_MAX: usize = 1_024;
// Metrics.
/// Named steps that have a latency histogram of their own.
pub const MEASURED_STEPS_MAX: usize = 40;
/// What the strips and sparklines of the page cover (scaled).
pub const TREND_OVER: Duration = Duration::from_secs(24 * 3600);
/// Cells of one strip: half an hour each, as many as a phone shows.
pub const TREND_CELLS: u32 = 48;
/// Samples of a latency target kept of one cell: enough for a 95th percentile.
pub const TREND_SAMPLES_PER_CELL_MAX: usize = 200;
/// How long before an incident at least what people said is shown in it: a deploy breaks things late.
pub const MARKS_BEFORE_INCIDENT: Duration = Duration::from_secs(3600);
// Serving.
/// Items of one page of the API.
pub const API_PAGE_MAX: u32 = 200;
/// Items of a page when none are named.
pub const API_PAGE: u32 = 50;
/// Longest time range of one question to the API: nothing is kept longer than [`HISTORY_DAYS`].
pub const API_RANGE_MAX: Duration = Duration::from_secs(31 * 24 * 3600);
/// Time range when none is named.
pub const API_RANGE: Duration = Duration::from_secs(24 * 3600);
/// Questions to the history that are answered at once; more wait for their turn within the request's deadline.
pub const API_READERS_MAX: usize = 4;
/// Pages that follow the daemon live at once; whoever comes later is told to come back.
pub const EVENT_LISTENERS_MAX: usize = 32;
/// Shortest pause between two events to one page.
pub const EVENTS_EVERY: Duration = Duration::from_secs(1);
/// How often a silent event stream says that it is alive.
pub const EVENTS_ALIVE_EVERY: Duration = Duration::from_secs(15);
/// Connections to the daemon's own listener.
pub const SERVE_CONNECTIONS_MAX: usize = 128;
/// Connections of those that only `/metrics` and the health routes may use.
pub const SERVE_CONNECTIONS_RESERVED: usize = 16;
/// Time that a request head may take (half-sent requests must not block scrapes, faults.md section 0.3).
pub const SERVE_HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Time that one request may take.
pub const SERVE_REQUEST_WITHIN: Duration = Duration::from_secs(30);
/// Time that a reader may refuse to take bytes.
pub const SERVE_WRITE_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of a request head.
pub const SERVE_HEAD_BYTES_MAX: usize = 16 * 1024;
/// Headers of a request.
pub const SERVE_HEADERS_MAX: usize = 64;
/// Bytes of a request body.
pub const SERVE_BODY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a request URI.
pub const SERVE_URI_BYTES_MAX: usize = 4 * 1024;
/// Wrong tokens in a minute before every further one waits for the next minute.
pub const SERVE_BAD_TOKENS_PER_MINUTE: u32 = 10;
/// Addresses whose wrong tokens are counted; beyond it the oldest is forgotten.
pub const SERVE_GUESSERS_MAX: usize = 1024;
/// Names under which the listener answers, those of `service.hosts`.
pub const SERVE_HOSTS_MAX: usize = 32;
/// How often the files of the web configuration are looked at, at most: a rotated certificate is taken within this time.
pub const WEB_LOOKED_AT_EVERY: Duration = Duration::from_secs(1);
/// Highest cost of a bcrypt hash: one more doubles the time, and 14 takes about a second.
pub const WEB_BCRYPT_COST_MAX: u32 = 14;
/// Passwords that are hashed at once; they take a core each.
pub const WEB_HASHING_MAX: usize = 2;
/// Right passwords that are remembered, as digests, so that a scrape does not cost a hash.
pub const WEB_PASSWORDS_KNOWN_MAX: usize = 64;
/// How often the files of secrets are looked at: a rotated one is taken within this time.
pub const SECRETS_LOOKED_AT_EVERY: Duration = Duration::from_secs(5);
/// Longest time between two rounds of the schedule before the process ends itself (faults.md D26).
pub const STALLED_AFTER: Duration = Duration::from_secs(30);
/// Longest time that stopping may take before the process ends itself: its parts take 8 seconds at worst.
pub const STOPPED_WITHIN: Duration = Duration::from_millis(9_500);
/// Deadline of a reload that somebody asked for over HTTP.
pub const RELOADED_WITHIN: Duration = Duration::from_secs(25);
/// How long one rendering of the metrics is served, so that many scrapers cost as much as one.
pub const METRICS_RENDERED_FOR: Duration = Duration::from_millis(1000);
/// How long one drawing of the page is served, so that many readers cost as much as one.
pub const PAGE_RENDERED_FOR: Duration = Duration::from_millis(1000);
/// Time a run waits for a user of a pool that nobody else is using; after it the user is shared.
pub const CREDENTIAL_WAIT: Duration = Duration::from_secs(20);
/// Time for which a failed login answers everybody who needs the same user, so that a crowd does not log in at once.
pub const LOGIN_FAILURE_KEPT: Duration = Duration::from_secs(1);
/// Deadline of one login or renewal, within the step that needs it.
pub const LOGIN_WITHIN: Duration = Duration::from_secs(10);
/// Life given to a token that does not say when it expires.
pub const TOKEN_LIFE_UNKNOWN: Duration = Duration::from_secs(300);
/// Superseded tokens kept of one user until they have aged.
pub const AGED_TOKENS_MAX: usize = 4;
/// Time after `exp` before a token is shown as an aged one (scaled): services grant a leeway of a minute.
pub const AGED_MARGIN: Duration = Duration::from_secs(120);
/// First pause after the target said that we send too much (scaled), unless it asks for more.
pub const BACK_OFF_MIN: Duration = Duration::from_secs(60);
/// Longest pause (scaled), whatever the target asks for.
pub const BACK_OFF_MAX: Duration = Duration::from_secs(3600);
/// Deadline of a connection to a control address.
pub const CONTROL_WITHIN: Duration = Duration::from_secs(2);
/// Time for which one look at the controls answers everybody.
pub const CONTROL_KEPT: Duration = Duration::from_secs(5);
/// Time for the closing handshakes of sockets that a scenario left open.
pub const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// Being later than this ourselves turns a missed deadline into our own fault.
pub const LATENESS_MAX: Duration = Duration::from_secs(1);
/// Addresses of one host that are tried on their own.
pub const ADDRESSES_TRIED_MAX: usize = 8;
/// How often a run looks whether it is late.
pub const LATENESS_TICK: Duration = Duration::from_millis(250);
/// How often it looks in its first [`LATENESS_FINE_TICKS`], in which most of what is measured happens.
pub const LATENESS_FINE_TICK: Duration = Duration::from_millis(20);
/// How many times it looks so often: two seconds.
pub const LATENESS_FINE_TICKS: u32 = 100;
/// Time in which the close that follows an error frame is waited for, so that its code is evidence too.
pub const CLOSE_AFTER_ERROR_FRAME: Duration = Duration::from_secs(1);
/// Frames before the welcome that are looked at for a refusal.
pub const WELCOME_FRAMES_MAX: usize = 16;
/// Frames waiting for one borrower of a resident's socket; beyond it the newest are dropped and counted.
pub const BORROWED_FRAMES_MAX: usize = 1024;
/// Requests waiting for a resident's socket.
pub const BORROWED_ORDERS_MAX: usize = 64;
/// Time that borrowers have to finish when a resident's offer is over.
pub const OFFER_GRACE: Duration = Duration::from_secs(10);
/// Redirects that are followed where a step allows it.
pub const REDIRECTS_MAX: usize = 3;
/// Bytes of the data frames that wait in a session, so that a few large ones cannot fill the memory.
pub const WS_QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Messages and commands waiting to be written to one socket.
pub const WS_COMMANDS_MAX: usize = 64;
/// Time that a session's task may spend on answering a Close before it drops the connection.
pub const WS_CLOSE_LINGER: Duration = Duration::from_secs(1);
/// Nodes of one configuration file, aliases written out.
pub const CONFIG_NODES_MAX: usize = 250_000;
/// Mistakes of shape that are told of one configuration file.
pub const CONFIG_MISTAKES_OF_SHAPE_MAX: usize = 20;
/// Nesting of one configuration file.
pub const CONFIG_DEPTH_MAX: usize = 64;
/// Modules of one configuration.
pub const MODULES_MAX: usize = 100;
/// Scenarios of one configuration; each is a task and a row of every table.
pub const SCENARIOS_MAX: usize = 1_000;
/// Checks of one configuration; each is about 50 metric series.
pub const CHECKS_MAX: usize = 1_000;
/// Users of one pool.
pub const POOL_USERS_MAX: u32 = 10_000;
/// Repetitions of one `repeat`, and sessions of one `times`.
pub const REPETITIONS_MAX: u32 = 500;
/// Shortest duration that a configuration may ask for, plain waits excepted.
pub const DURATION_MIN: Duration = Duration::from_millis(100);
/// Shortest wait between two steps.
pub const WAIT_MIN: Duration = Duration::from_millis(1);
/// Longest duration that a configuration may ask for.
pub const DURATION_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Shortest period of a schedule, scaled ones included.
pub const PERIOD_MIN: Duration = Duration::from_secs(1);
/// Items of a ledger extract when none are named.
pub const EXTRACT_ITEMS: usize = 2_000;
/// Most items of a ledger extract.
pub const EXTRACT_ITEMS_MAX: usize = 20_000;
/// Shortest secret: a shorter one would be redacted out of every other word.
pub const SECRET_BYTES_MIN: usize = 4;
/// Longest secret, PEM keys included.
pub const SECRET_BYTES_MAX: usize = 16 * 1024;
/// Metric series of one daemon unless configured otherwise.
pub const SERIES_MAX: usize = 4_500;
/// Scenarios in flight at once unless configured otherwise.
pub const CONCURRENCY: usize = 32;
/// Most scenarios in flight at once.
pub const CONCURRENCY_MAX: usize = 1_024;
/// Bytes of a name that the target chose (certificate subject, cookie, event type) and of a header quoted in a failure.
pub const NAME_BYTES_MAX: usize = 256;
/// Names of cookies kept from one answer; browsers allow 50 for a domain.
pub const COOKIE_NAMES_MAX: usize = 50;
/// Bytes of a proxy's answer to CONNECT, which is a status line and a few headers.
pub const PROXY_ANSWER_BYTES_MAX: usize = 8 * 1024;
/// Entries of the target's log that are asked for and kept.
pub const LOG_ENTRIES_MAX: usize = 20;
/// Traces named in one question to the target's log.
pub const LOG_TRACES_MAX: usize = 16;
/// Text kept of one log entry.
pub const LOG_LINE_BYTES_MAX: usize = 2 * 1024;
/// Answer of the log that is read at most.
pub const LOG_ANSWER_BYTES_MAX: usize = 1024 * 1024;
// Tokens of our own workload.
/// Deadline of one question to the metadata server or a token server: both answer in milliseconds, or are not there.
pub const IDENTITY_WITHIN: Duration = Duration::from_secs(3);
/// Answer of them that is read at most; a token has about a kilobyte.
pub const IDENTITY_ANSWER_BYTES_MAX: usize = 16 * 1024;
/// A token is fetched again so long before it ends; a tenth of its life if that is shorter.
pub const IDENTITY_SPARE: Duration = Duration::from_secs(60);
/// That no token could be had answers so long for others that want one.
pub const IDENTITY_FAILURE_KEPT: Duration = Duration::from_secs(5);
// Alerts.
/// Instances of the target that are remembered; a series that names more is no series of instances.
pub const INSTANCES_KNOWN_MAX: usize = 1_000;
/// Runs waiting for the alert desk; beyond it they are dropped and counted, so that judging is never held up.
pub const DESK_RUNS_WAITING_MAX: usize = 1_024;
/// How long the text of an alert may wait for its diagnosis.
pub const EXPLAINED_WITHIN: Duration = Duration::from_secs(2);
/// So long after a page was handed to the push, the gauge that Prometheus' rules read goes on to wait: of two messages about one
/// outage the one with the diagnosis is to be the first.
pub const RULES_AFTER: Duration = Duration::from_secs(1);
/// Bytes of one annotation of an alert.
pub const ANNOTATION_BYTES_MAX: usize = 1024;
/// Characters of an answer's body in an alert.
pub const ALERT_QUOTE_CHARS_MAX: usize = 160;
