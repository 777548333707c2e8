//! Every limit of the daemon, named, with its reason. At a limit it is counted and said, never silent.

use std::time::Duration;

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
/// Bytes of one configuration file.
pub const CONFIG_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a close reason (RFC 6455 section 5.5).
pub const CLOSE_REASON_BYTES_MAX: usize = 123;
/// Bytes of a failure's detail and of a message of an expectation.
pub const DETAIL_BYTES_MAX: usize = 1024;
/// Redirects that are followed where a step allows it.
pub const REDIRECTS_MAX: usize = 3;
/// Bytes of the data frames that wait in a session, so that a few large ones cannot fill the memory.
pub const WS_QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Messages and commands waiting to be written to one socket.
pub const WS_COMMANDS_MAX: usize = 64;
/// Time that a session's task may spend on answering a Close before it drops the connection.
pub const WS_CLOSE_LINGER: Duration = Duration::from_secs(1);
/// Bytes of a name that the target chose (certificate subject, cookie, event type) and of a header quoted in a failure.
pub const NAME_BYTES_MAX: usize = 256;
/// Names of cookies kept from one answer; browsers allow 50 for a domain.
pub const COOKIE_NAMES_MAX: usize = 50;
/// Bytes of a proxy's answer to CONNECT, which is a status line and a few headers.
pub const PROXY_ANSWER_BYTES_MAX: usize = 8 * 1024;
