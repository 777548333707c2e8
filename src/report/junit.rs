//! JUnit XML for CI systems. `unknown` is an error there: a suite that could not be judged must not look green.

use super::{Iteration, ModuleResult, first_message, inert};
use crate::run::Judgement;
use crate::verdict::Verdict;
use chrono::DateTime;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

/// The iteration as JUnit XML: a suite for each module, a case for each check.
pub fn junit(iteration: &Iteration) -> String {
    let mut report = Report::new(inert::line(&iteration.target));
    report.set_time(seconds(iteration.duration_s));
    let started = DateTime::parse_from_rfc3339(&iteration.started_at).ok();
    if let Some(started) = started {
        report.set_timestamp(started);
    }
    for module in &iteration.modules {
        let mut suite = TestSuite::new(&module.id);
        suite.set_time(seconds(
            module.checks.iter().map(|check| check.duration_ms).sum::<f64>() / 1e3,
        ));
        if let Some(started) = started {
            suite.set_timestamp(started);
        }
        suite.add_test_cases(module.checks.iter().map(|check| case(module, check)));
        report.add_test_suite(suite);
    }
    // Writing XML into a text can only fail for lack of memory.
    report.to_string().unwrap_or_default()
}

/// A duration that cannot panic on what a clock that jumped may have made of it.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn case(module: &ModuleResult, check: &Judgement) -> TestCase {
    let mut status = match check.verdict {
        Verdict::Pass => TestCaseStatus::success(),
        Verdict::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Verdict::Unknown => TestCaseStatus::non_success(NonSuccessKind::Error),
        Verdict::Off => TestCaseStatus::skipped(),
    };
    let said = inert::line(first_message(check));
    match (check.verdict, &check.failure, check.reason) {
        (Verdict::Fail, Some(failure), _) => {
            status.set_type(failure.kind.as_str());
            status.set_message(said);
        }
        (Verdict::Unknown, _, reason) => {
            let reason = reason.map_or("unknown", |reason| reason.as_str());
            status.set_type(reason);
            status.set_message(format!("unknown ({reason}): {said}"));
        }
        (Verdict::Off | Verdict::Fail, ..) => {
            status.set_message(said);
        }
        (Verdict::Pass, ..) => {}
    }
    let not_held = check.expectations.iter().filter(|judged| judged.held != Some(true));
    let described: Vec<String> = not_held
        .map(|judged| {
            let part = if judged.part.is_empty() {
                String::new()
            } else {
                format!("[{}] ", judged.part)
            };
            inert::line(&format!("{part}{}: {}", judged.that, judged.message))
        })
        .collect();
    if matches!(check.verdict, Verdict::Fail | Verdict::Unknown) && !described.is_empty() {
        status.set_description(described.join("\n"));
    }
    let mut case = TestCase::new(&check.id, status);
    case.set_classname(&module.id);
    case.set_time(seconds(check.duration_ms / 1e3));
    case.set_assertions(check.expectations.len());
    let read = check
        .transcripts
        .iter()
        .map(|read| format!("{} (run {}): {}", read.scenario, read.run, read.entries.join(", ")));
    let out: Vec<String> = check.notes.iter().map(|note| inert::line(note)).chain(read).collect();
    if !out.is_empty() {
        case.set_system_out(out.join("\n"));
    }
    case
}
