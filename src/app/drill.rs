//! A drill: one fault played on a private rehearsal, seen by the real engine through the shipped watches, pushed to the
//! operator's own Alertmanager with labels that say it is a drill, and looked for there. It ends within a bounded time.

mod alertmanager;

use super::daemon::{self, Running};
use super::demo::{self, DemoError};
use crate::alert::{AlertName, Stage};
use crate::catalog::{Catalog, Schedule};
use crate::config::Overrides;
use crate::limits::{DRILL_LEASE_MAX, DRILL_LOOK_EVERY, DRILL_READY_WITHIN};
use crate::record::encode::Format;
use crate::rehearsal::{self, Rehearsal};
use alertmanager::{Asked, Seen};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use url::Url;

/// The drills: faults of the rehearsal, and the page that each must bring.
pub const DRILLS: [(&str, AlertName); 11] = [
    ("ws-upgrade-500", AlertName::UpgradeHttp500),
    ("ws-upgrade-500-after-auth", AlertName::UpgradeHttp500),
    ("ws-500-chunked", AlertName::UpgradeHttp500),
    ("ws-upgrade-403", AlertName::UpgradeFailing),
    ("ws-upgrade-404", AlertName::UpgradeFailing),
    ("ws-upgrade-502", AlertName::UpgradeFailing),
    ("ws-upgrade-503", AlertName::UpgradeFailing),
    ("ws-upgrade-504", AlertName::UpgradeFailing),
    ("ws-upgrade-hang", AlertName::UpgradeFailing),
    ("ws-upgrade-close", AlertName::UpgradeFailing),
    ("ws-no-welcome", AlertName::SessionBroken),
];

/// What to play and where it must arrive.
pub struct DrillOptions {
    /// One of [`DRILLS`].
    pub name: String,
    /// Base URL of the operator's Alertmanager.
    pub alertmanager: Url,
    /// How long the page may take from the moment that the fault is switched on.
    pub within: Duration,
}

/// Why a drill could not be played.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// There is no such drill.
    #[error("there is no drill `{0}`; there are {known}", known = names())]
    Unknown(String),
    /// Rehearsal or daemon do not start.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// The watches found the rehearsal broken before anything was broken.
    #[error("the watches saw no right answer within {} of a healthy rehearsal", humantime::format_duration(*.0))]
    NotReady(Duration),
    /// No client for Alertmanager.
    #[error("no client for Alertmanager: {0}")]
    Client(#[from] reqwest::Error),
}

fn names() -> String {
    DRILLS.map(|(name, _)| name).join(", ")
}

/// How a drill went. Seconds count from the moment that the fault was switched on.
#[derive(Clone, Debug)]
pub struct Drilled {
    /// Value of the label `drill_id`.
    pub id: String,
    /// The page that had to come.
    pub expected: AlertName,
    /// What happened when, in order.
    pub stages: Vec<(String, f64)>,
    /// When Alertmanager showed the page; none if it did not in time.
    pub visible_s: Option<f64>,
    /// The last thing that Alertmanager said instead of an answer.
    pub trouble: Option<String>,
}

/// Plays a drill; `say` is told what goes on.
///
/// # Errors
/// When it could not be played at all. That the page did not come is no error.
pub async fn drill(options: &DrillOptions, say: impl Fn(&str)) -> Result<Drilled, DrillError> {
    let known = DRILLS.iter().find(|(name, _)| *name == options.name);
    let Some((name, expected)) = known.copied() else {
        return Err(DrillError::Unknown(options.name.clone()));
    };
    let id = format!("{:012x}", rand::random::<u64>() >> 16);
    let asked = Asked::new(&options.alertmanager, &id)?;
    let stage = Theatre::open(options, &id).await?;
    say(&format!(
        "drill {name}, drill_id {id}: waiting for a right answer of each watch"
    ));
    let played = match stage.ready().await {
        true => Ok(play(&stage, (name, expected), (&asked, options.within), say).await),
        false => Err(DrillError::NotReady(DRILL_READY_WITHIN)),
    };
    stage.close().await;
    played.map(|(stages, visible_s, trouble)| Drilled {
        id,
        expected,
        stages,
        visible_s,
        trouble,
    })
}

type Played = (Vec<(String, f64)>, Option<f64>, Option<String>);

async fn play(
    stage: &Theatre,
    (name, expected): (&str, AlertName),
    (asked, within): (&Asked, Duration),
    say: impl Fn(&str),
) -> Played {
    // The name stands in the table, which a test holds against the rehearsal's own.
    let on = stage.rehearsal.switch(name, true).is_ok();
    let begun = Instant::now();
    let begun_unix = crate::clock::unix_seconds(crate::clock::now());
    say(if on {
        "the fault is on"
    } else {
        "the rehearsal knows no such fault"
    });
    let mut stages: Vec<(String, f64)> = Vec::new();
    let mut trouble = None;
    while begun.elapsed() < within {
        let found = asked.look(expected).await;
        let elapsed = begun.elapsed().as_secs_f64();
        match found {
            Ok(Some(seen)) => {
                stages.extend(told(&stage.running, &seen, begun_unix));
                stages.push((
                    format!("visible at Alertmanager as {} ({})", seen.alert, seen.labels),
                    elapsed,
                ));
                stages.iter().for_each(|(what, at)| say(&format!("{at:7.2} s  {what}")));
                return (stages, Some(elapsed), None);
            }
            Ok(None) => {}
            Err(said) => trouble = Some(said),
        }
        sleep(DRILL_LOOK_EVERY).await;
    }
    (stages, None, trouble)
}

/// The stages that the daemon itself has noted, as moments after the fault was switched on.
fn told(running: &Running, seen: &Seen, begun_unix: f64) -> Vec<(String, f64)> {
    let first = seen.starts_at - begun_unix;
    let mut stages = vec![("first wrong answer".to_owned(), first)];
    let metrics = running.metrics().render(Format::Text);
    for (stage, what) in [
        (Stage::Confirmed, "confirmed by the burst"),
        (Stage::Diagnosed, "diagnosed and handed to the push"),
        (Stage::Accepted, "accepted by Alertmanager"),
    ] {
        let of = |kind: &str| {
            let name = format!("stagewatch_page_stage_seconds_{kind}");
            value(&metrics, &name, &[("stage", stage.as_str())])
        };
        if let (Some(sum), Some(count)) = (of("sum"), of("count").filter(|count| *count > 0.0)) {
            let several = if count > 1.0 {
                format!(", mean of {count} pages")
            } else {
                String::new()
            };
            stages.push((format!("{what}{several}"), first + sum / count));
        }
    }
    stages
}

/// The value of the series of this name that has these labels.
fn value(metrics: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let has = |line: &&str| {
        labels
            .iter()
            .all(|(label, value)| line.contains(&format!("{label}=\"{value}\"")))
    };
    let mut lines = metrics
        .lines()
        .filter(|line| line.starts_with(name) && line[name.len()..].starts_with('{'));
    lines.find(has)?.rsplit_once(' ')?.1.parse().ok()
}

/// A private rehearsal and the engine that watches it.
struct Theatre {
    rehearsal: Rehearsal,
    running: Running,
    data: PathBuf,
}

impl Theatre {
    async fn open(options: &DrillOptions, id: &str) -> Result<Self, DrillError> {
        let free: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
        let data = std::env::temp_dir().join(format!("stagewatch-drill-{id}"));
        let overrides = Overrides {
            listen: Some(free),
            data_dir: Some(data.clone()),
            alertmanager: Some(options.alertmanager.clone()),
            ..Overrides::default()
        };
        let time_scale = demo::load(&[], &overrides).map_err(DemoError::from)?.time_scale;
        let rehearsal = rehearsal::start(rehearsal::Options {
            backend: free,
            auth: free,
            control: free,
            faults: Vec::new(),
            time_scale,
        });
        let rehearsal = rehearsal.await.map_err(DemoError::from)?;
        let mut catalog = demo::load(&demo::replacements(&rehearsal), &overrides).map_err(DemoError::from)?;
        only_watches(&mut catalog, id);
        let running = daemon::start(Arc::new(catalog)).await.map_err(DemoError::from)?;
        Ok(Self {
            rehearsal,
            running,
            data,
        })
    }

    /// Whether each watch has seen a right answer, waited for.
    async fn ready(&self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < DRILL_READY_WITHIN {
            let metrics = self.running.metrics().render(Format::Text);
            let well = ["none", "valid"].map(|credential| {
                let labels = [("credential", credential), ("outcome", "ok")];
                value(&metrics, "stagewatch_websocket_upgrades_total", &labels)
            });
            if well.iter().all(|count| count.is_some_and(|count| count > 0.0)) {
                return true;
            }
            sleep(DRILL_LOOK_EVERY).await;
        }
        false
    }

    async fn close(self) {
        self.running.shutdown().await;
        self.rehearsal.shutdown().await;
        if let Err(error) = std::fs::remove_dir_all(&self.data) {
            tracing::warn!(%error, "drill.data_left: the data directory was not removed");
        }
    }
}

/// Leaves only the watches and what explains them, and says in every alert that this is a drill. Its alerts end soon after it.
fn only_watches(catalog: &mut Catalog, id: &str) {
    for module in &mut catalog.modules {
        module.checks.clear();
        module
            .scenarios
            .retain(|scenario| scenario.feeds_watch || matches!(scenario.schedule, Schedule::OnConfirm { .. }));
    }
    let alerting = &mut catalog.alerting;
    // The rehearsal has only just been started, which is no deploy that excuses anything.
    alerting.instance_series = None;
    alerting.lease = alerting.lease.min(DRILL_LEASE_MAX);
    alerting.labels.insert("drill".to_owned(), "true".to_owned());
    alerting.labels.insert("drill_id".to_owned(), id.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_drill_is_a_fault_of_the_rehearsal() {
        let known: Vec<String> = rehearsal::catalogue()
            .into_iter()
            .map(|fault| fault.name.to_owned())
            .collect();
        for (name, _) in DRILLS {
            assert!(known.iter().any(|known| known == name), "{name}");
        }
    }

    #[test]
    fn series_are_found_by_their_labels() {
        let metrics =
            "# HELP a b\na_total{x=\"1\",y=\"2\"} 3\na_total{x=\"1\",y=\"3\"} 4.5\na_total_other{x=\"1\",y=\"3\"} 9\n";
        assert_eq!(value(metrics, "a_total", &[("y", "3")]), Some(4.5));
        assert_eq!(value(metrics, "a_total", &[("y", "4")]), None);
        assert_eq!(value(metrics, "b_total", &[]), None);
    }
}
