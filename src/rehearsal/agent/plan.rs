//! Which events a run has, in which order and how far apart: the healthy plan, and what faults make of it.
//! Pure but for chance; playing the plan belongs to `agent`.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::sum::Sum;
use super::{CALCULATOR, SUPERVISOR};
use crate::rehearsal::faults::{Fault, Faults};

/// What `execution_time_ms` of an event measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measures {
    /// The event has none.
    Nothing,
    /// From tool_executing.
    Tool,
    /// From the start of the run.
    Run,
}

/// One event to come.
#[derive(Clone, Debug)]
pub struct Beat {
    /// Pause before it.
    pub gap: Duration,
    /// Its type.
    pub kind: &'static str,
    /// The agent it speaks of.
    pub agent: &'static str,
    /// Its members, in the words of shape A.
    pub body: Map<String, Value>,
    /// Whether it carries a duration.
    pub measures: Measures,
    /// Seconds added to its timestamp; zero on the healthy side.
    pub skew_s: f64,
}

impl Beat {
    /// Whether it ends the run.
    pub fn is_terminal(&self) -> bool {
        ["agent_completed", "agent_error"].contains(&self.kind)
    }
}

/// The events of a run that was asked for `request`.
pub fn of(request: &str, faults: &Faults) -> Vec<Beat> {
    if faults.on(Fault::AgentMock) {
        return mocked(request);
    }
    let sum = Sum::read(request).filter(|_| !faults.on(Fault::AgentFails));
    let mut beats = match sum {
        Some(sum) => computing(sum, faults),
        None => failing(),
    };
    drop_events(&mut beats, faults);
    reorder_events(&mut beats, faults);
    add_events(&mut beats, faults);
    bend_gaps(&mut beats, faults);
    bend_timestamps(&mut beats, faults);
    beats
}

fn beat((low_ms, high_ms): (u64, u64), (kind, agent): (&'static str, &'static str), body: Value) -> Beat {
    let measures = match kind {
        "tool_completed" => Measures::Tool,
        "agent_completed" => Measures::Run,
        _ => Measures::Nothing,
    };
    let body = match body {
        Value::Object(body) => body,
        _ => Map::new(),
    };
    let gap = Duration::from_millis(rand::random_range(low_ms..=high_ms));
    Beat {
        gap,
        kind,
        agent,
        body,
        measures,
        skew_s: 0.0,
    }
}

fn started(gap: (u64, u64), agent: &'static str) -> Beat {
    let body = json!({ "status": "started", "context": {}, "message": format!("{agent} started") });
    beat(gap, ("agent_started", agent), body)
}

fn thinking(gap: (u64, u64), agent: &'static str, (step, reasoning): (u32, &str)) -> Beat {
    let body = json!({
        "reasoning": reasoning, "step_number": step,
        "progress_percentage": step * 25, "status": "thinking",
    });
    beat(gap, ("agent_thinking", agent), body)
}

/// The healthy plan: the supervisor hands over to the calculator, which uses its tool and reports back.
fn computing(sum: Sum, faults: &Faults) -> Vec<Beat> {
    let result = sum.result() + i128::from(faults.on(Fault::AgentWrongAnswer));
    let answer = format!("{} times {}, plus {}, is {result}.", sum.a, sum.b, sum.c);
    let mut parameters = json!({ "expression": sum.expression(), "api_key": "[REDACTED]" });
    if faults.on(Fault::AgentLeaksSecret) {
        parameters["api_key"] = json!(format!("sk-{}", crate::rehearsal::new_hex(16)));
    }
    let tool = json!({
        "tool_name": "calculator", "parameters": parameters, "status": "executing",
        "message": "Executing calculator",
    });
    let done = json!({ "tool_name": "calculator", "result": result.to_string(), "status": "completed",
                       "message": "calculator completed" });
    let partial = json!({ "content": result.to_string(), "is_complete": true,
                          "message": "CalculatorAgent reports back" });
    let end = json!({ "status": "completed", "result": answer, "message": "Run completed" });
    vec![
        started((5, 30), SUPERVISOR),
        thinking((40, 120), SUPERVISOR, (1, "The request asks for a computation")),
        started((80, 180), CALCULATOR),
        thinking((40, 110), CALCULATOR, (2, "The expression goes to the calculator")),
        beat((60, 170), ("tool_executing", CALCULATOR), tool),
        beat((110, 260), ("tool_completed", CALCULATOR), done),
        beat((40, 110), ("partial_result", CALCULATOR), partial),
        thinking((50, 150), SUPERVISOR, (3, "The result is put into a sentence")),
        beat((160, 300), ("agent_completed", SUPERVISOR), end),
    ]
}

/// A run that ends in an error: nothing to compute, or `agent-fails`.
fn failing() -> Vec<Beat> {
    let message = "the request holds no computation; write \"Compute A times B, add C\"";
    let error = json!({
        "status": "error", "error_message": message, "message": "Run failed",
        "error_context": { "error_type": "UnsupportedRequest", "agent_step": "planning",
                           "user_facing": message },
    });
    vec![
        started((5, 30), SUPERVISOR),
        thinking((40, 120), SUPERVISOR, (1, "The request is read")),
        beat((160, 300), ("agent_error", SUPERVISOR), error),
    ]
}

/// Five canned events, as contract §7 describes the fallback.
fn mocked(request: &str) -> Vec<Beat> {
    let agent = "ChatAgent";
    let answer = format!("Agent processed your message: '{request}'");
    let tool = |status| json!({ "tool_name": "response_generator", "status": status, "result": "ok" });
    let end = json!({ "status": "completed", "result": answer, "message": "done" });
    vec![
        started((100, 100), agent),
        thinking((100, 100), agent, (1, "Processing your request")),
        beat((100, 100), ("tool_executing", agent), tool("executing")),
        beat((100, 100), ("tool_completed", agent), tool("completed")),
        beat((100, 100), ("agent_completed", agent), end),
    ]
}

fn drop_events(beats: &mut Vec<Beat>, faults: &Faults) {
    let dropped = |beat: &Beat| {
        beat.kind == "agent_thinking" && faults.on(Fault::AgentNoThinking)
            || beat.kind == "tool_completed" && faults.on(Fault::AgentNoToolCompleted)
            || beat.is_terminal() && faults.on(Fault::AgentNoTerminal)
    };
    beats.retain(|beat| !dropped(beat));
    if faults.on(Fault::AgentSingle) {
        let inner = |beat: &Beat| beat.agent == CALCULATOR && ["agent_started", "partial_result"].contains(&beat.kind);
        beats.retain(|beat| !inner(beat));
        for beat in beats.iter_mut() {
            beat.agent = SUPERVISOR;
        }
    }
}

fn reorder_events(beats: &mut Vec<Beat>, faults: &Faults) {
    let find = |beats: &[Beat], kind: &str, agent: &str| {
        beats.iter().position(|beat| beat.kind == kind && beat.agent == agent)
    };
    if faults.on(Fault::AgentThinkingFirst)
        && let Some(at) = find(beats, "agent_thinking", SUPERVISOR)
    {
        let thought = beats.remove(at);
        beats.insert(0, thought);
    }
    if faults.on(Fault::AgentHandoverOutside)
        && let Some(at) = find(beats, "agent_started", CALCULATOR)
    {
        let inner = beats.remove(at);
        beats.insert(0, inner);
    }
}

fn add_events(beats: &mut Vec<Beat>, faults: &Faults) {
    if faults.on(Fault::AgentUnknownType) {
        let odd = beat((20, 60), ("agent_daydreaming", SUPERVISOR), json!({ "status": "odd" }));
        beats.insert(1.min(beats.len()), odd);
    }
    let terminal = beats.iter().find(|beat| beat.is_terminal()).cloned();
    if faults.on(Fault::AgentDuplicateTerminal)
        && let Some(mut twin) = terminal
    {
        twin.gap = Duration::from_millis(50);
        beats.push(twin);
    }
    if faults.on(Fault::AgentExtraAfterTerminal) {
        beats.push(thinking((50, 90), SUPERVISOR, (4, "One more thing")));
    }
}

fn bend_gaps(beats: &mut [Beat], faults: &Faults) {
    if faults.on(Fault::AgentEvenGaps) {
        for beat in beats.iter_mut() {
            beat.gap = Duration::from_millis(100);
        }
    }
    if faults.on(Fault::AgentSlowStart)
        && let Some(first) = beats.first_mut()
    {
        first.gap = Duration::from_millis(900);
    }
}

fn bend_timestamps(beats: &mut [Beat], faults: &Faults) {
    for (index, beat) in beats.iter_mut().enumerate() {
        if faults.on(Fault::AgentTimestampsBackwards) {
            beat.skew_s -= 3.0 * index as f64;
        }
        if faults.on(Fault::AgentClockOff) {
            beat.skew_s -= 60.0;
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::super::super::faults::choose;
    use super::*;

    const REQUEST: &str = "Compute 12 times 34, add 5, and state the number.";

    fn kinds(fault: Option<&str>) -> Vec<&'static str> {
        let faults = Faults::new();
        if let Some(name) = fault {
            faults.set(choose(name).unwrap(), true);
        }
        of(REQUEST, &faults).iter().map(|beat| beat.kind).collect()
    }

    #[test]
    fn the_healthy_plan_holds_every_guarantee() {
        for _ in 0..50 {
            let beats = of(REQUEST, &Faults::new());
            assert_eq!(beats[0].kind, "agent_started");
            assert!(beats[0].gap <= Duration::from_millis(100));
            assert_eq!(beats.iter().filter(|beat| beat.is_terminal()).count(), 1);
            assert!(beats.last().unwrap().body["result"].as_str().unwrap().contains("413"));
            let total: Duration = beats.iter().map(|beat| beat.gap).sum();
            let expected = Duration::from_millis(550)..Duration::from_millis(1500);
            assert!(expected.contains(&total), "{total:?}");
            let even = |beat: &Beat| (85..=115).contains(&beat.gap.as_millis());
            assert!(!beats.iter().skip(1).all(even));
        }
    }

    #[test]
    fn each_distortion_breaks_its_guarantee() {
        let count = |kinds: &[&str], kind: &str| kinds.iter().filter(|it| **it == kind).count();
        assert_eq!(count(&kinds(Some("agent-no-thinking")), "agent_thinking"), 0);
        assert_eq!(count(&kinds(Some("agent-no-tool-completed")), "tool_completed"), 0);
        assert_eq!(count(&kinds(Some("agent-no-terminal")), "agent_completed"), 0);
        assert_eq!(count(&kinds(Some("agent-duplicate-terminal")), "agent_completed"), 2);
        assert_eq!(kinds(Some("agent-thinking-first"))[0], "agent_thinking");
        assert_eq!(
            kinds(Some("agent-extra-after-terminal")).last(),
            Some(&"agent_thinking")
        );
        assert_eq!(kinds(Some("agent-fails")).last(), Some(&"agent_error"));
        assert_eq!(count(&kinds(Some("agent-single")), "agent_started"), 1);
        assert_eq!(count(&kinds(None), "agent_started"), 2);
    }
}
