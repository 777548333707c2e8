//! Single wrong answers among right ones page nobody: with the shipped configuration, on a simulated clock, for weeks.

use crate::folding::{T0, answer, bursts_in, catalog, give, pages};
use crate::together::anonymous;
use chrono::{DateTime, Utc};
use stagewatch::alert::fold::{Fold, Signals};
use stagewatch::alert::{Cause, Command, Credential};
use stagewatch::catalog::Catalog;
use stagewatch::catalog::watch::watches;
use stagewatch::config::{self, Environment, FileRead, ProcessEnvironment};
use stagewatch::run::Run;
use std::io;
use std::path::{Path, PathBuf};

#[test]
fn a_mixture_pages_nobody_and_its_bursts_keep_their_distance() {
    let mut fold = Fold::new(&catalog(), T0);
    let mut bursts = 0;
    for step in 0..1200_u32 {
        let at = T0 + f64::from(step) * 0.1;
        let mut commands = give(&mut fold, &[(at, if step % 3 == 0 { 101 } else { 500 })]);
        commands.extend(fold.tick(at, Signals::default()));
        bursts += bursts_in(&commands);
        assert!(pages(&fold).is_empty());
    }
    assert!((1..=9).contains(&bursts), "{bursts} bursts in two minutes");
}

/// What the answers of the target say of its youngest instance.
fn started(at: f64) -> Signals {
    Signals {
        instance_started: Some(at),
        ..Signals::default()
    }
}

fn in_grace(fold: &Fold) -> bool {
    fold.suppressed().iter().any(|muted| muted.cause == Cause::DeployGrace)
}

#[test]
fn an_instance_that_starts_while_we_watch_is_a_deploy_and_one_that_was_there_is_not() {
    let mut fold = Fold::new(&catalog(), T0);
    // The first that answers; another one, younger, that was there before; and the first again, its age told a little late.
    for (at, young) in [(0.0, -500.0), (1.0, -10.0), (2.0, -500.0), (3.0, -6.0)] {
        fold.tick(T0 + at, started(T0 + young));
        assert!(!in_grace(&fold), "{young}");
    }
    fold.hear(T0 + 20.0, started(T0 + 19.0));
    assert!(in_grace(&fold));
    give(
        &mut fold,
        &[(T0 + 20.1, 500), (T0 + 20.2, 500), (T0 + 20.3, 500), (T0 + 20.4, 500)],
    );
    assert!(pages(&fold).is_empty());
    fold.tick(T0 + 2000.0, started(T0 + 19.0));
    assert!(!in_grace(&fold), "it is no news any more");
}

/// Each start excuses what follows, but not for ever.
#[test]
fn a_target_that_starts_again_and_again_and_never_answers_rightly_pages() {
    let mut fold = Fold::new(&catalog(), T0);
    fold.tick(T0, started(T0 - 1000.0));
    let mut paged_at = None;
    for second in 1..600_u32 {
        let now = T0 + f64::from(second);
        // A new instance each twenty seconds.
        fold.tick(now, started(T0 + f64::from(second / 20 * 20)));
        if second >= 30 {
            give(&mut fold, &[(now, 500)]);
        }
        if !pages(&fold).is_empty() {
            paged_at.get_or_insert(second);
        }
    }
    let grace = catalog().alerting.deploy_grace.as_secs();
    let paged_at = u64::from(paged_at.unwrap());
    assert!(paged_at <= 30 + grace + 5, "paged after {paged_at} s, grace {grace} s");
}

/// The file system, and a value for every variable that a deployment would set.
struct Deployed;

impl Environment for Deployed {
    fn variable(&self, name: &str) -> Option<String> {
        let set = name.starts_with("STAGEWATCH_") && !name.ends_with("_FILE");
        set.then(|| "set-by-the-deployment".to_owned())
    }

    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<FileRead> {
        ProcessEnvironment.read(path, bytes_max)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        ProcessEnvironment.list(directory)
    }

    fn now(&self) -> DateTime<Utc> {
        stagewatch::clock::now()
    }
}

/// What ships, and which of its scenarios watch the socket, each with its period in seconds.
fn shipped() -> (Catalog, Vec<(Credential, String, f64)>) {
    let main = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/stagewatch.yaml");
    let catalog = config::load(&main, &Deployed).unwrap_or_else(|errors| panic!("{errors}"));
    let found = watches(&catalog).map(|(_, credential, scenario)| {
        let stagewatch::catalog::Schedule::Every(period) = &scenario.schedule else {
            panic!("{} has no period", scenario.id);
        };
        (credential, scenario.id.clone(), period.as_secs_f64())
    });
    let found = found.collect();
    (catalog, found)
}

/// A target that gives one wrong answer in `one_in`, whoever asks and whenever.
struct Target {
    state: u64,
    one_in: u64,
    asked: u32,
    wrong: u32,
}

impl Target {
    fn status(&mut self) -> u16 {
        // xorshift
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.asked += 1;
        let wrong = self.state.is_multiple_of(self.one_in);
        self.wrong += u32::from(wrong);
        if wrong { 500 } else { 101 }
    }

    fn asked(&mut self, credential: Credential, scenario: &str, at: f64) -> Run {
        let mut run = match credential {
            Credential::Nobody => anonymous(at, self.status()),
            Credential::Valid => answer(at, self.status()),
        };
        let transcript = run.transcript.as_mut().and_then(std::sync::Arc::get_mut).unwrap();
        scenario.clone_into(&mut transcript.scenario);
        run
    }
}

/// Lives through `attempts` slots of the watches; every command is carried out as the schedule would, its answers being as good or
/// bad as any. Gives how many bursts there were, and whether anything paged.
fn live(target: &mut Target, attempts: u32) -> (usize, bool) {
    let (catalog, watches) = shipped();
    let mut fold = Fold::new(&catalog, T0);
    let mut bursts = 0;
    for slot in 0..attempts * 3 {
        let second = f64::from(slot * 5);
        let now = T0 + second;
        let mut commands = fold.tick(now, Signals::default());
        for (credential, scenario, period) in &watches {
            if (second % period).abs() < 0.5 {
                commands.extend(fold.take(&target.asked(*credential, scenario, now), now));
            }
        }
        while let Some(command) = commands.pop() {
            let (of, times) = match &command {
                Command::Confirm {
                    credential, attempts, ..
                } => (*credential, *attempts),
                Command::Probe { credential, .. } => (*credential, 1),
                Command::Ask { .. } => panic!("no check is judged here"),
            };
            bursts += bursts_in(std::slice::from_ref(&command));
            let (_, scenario, _) = watches.iter().find(|(shown, _, _)| *shown == of).unwrap();
            for time in 1..=times {
                let at = now + 0.1 * f64::from(time);
                commands.extend(fold.take(&target.asked(of, scenario, at), at));
            }
        }
        if !pages(&fold).is_empty() {
            return (bursts, true);
        }
    }
    (bursts, false)
}

#[test]
fn one_wrong_answer_in_a_hundred_and_one_in_twenty_page_nobody() {
    for (one_in, paged) in [(100, false), (20, false), (1, true)] {
        let mut target = Target {
            state: 0x5eed,
            one_in,
            asked: 0,
            wrong: 0,
        };
        let (bursts, pages) = live(&mut target, 6000);
        let (asked, wrong) = (target.asked, target.wrong);
        println!("one in {one_in}: {wrong} of {asked} attempts wrong, {bursts} bursts");
        assert_eq!(pages, paged, "one in {one_in}");
        if !paged {
            let expected = u64::from(asked) / one_in;
            assert!(
                asked > 7500 && u64::from(wrong) * 2 > expected && bursts > 40,
                "{wrong} of {asked}, {bursts} bursts"
            );
        }
    }
}
