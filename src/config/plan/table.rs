//! The plan as `validate` prints it.

use super::{Plan, PlannedScenario, shown};
use std::fmt::{Display, Formatter};

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "target      {}", self.target)?;
        writeln!(f, "time scale  {}", self.time_scale)?;
        let off = self.scenarios.iter().filter(|scenario| !scenario.enabled).count();
        writeln!(f, "scenarios   {} ({off} off)", self.scenarios.len())?;
        writeln!(f, "checks      {}", self.checks)?;
        writeln!(f)?;
        let mut rows = vec![
            [
                "scenario",
                "schedule",
                "deadline",
                "requests",
                "handshakes",
                "messages",
                "req/min",
                "hs/min",
            ]
            .map(str::to_owned)
            .to_vec(),
        ];
        rows.extend(self.scenarios.iter().map(PlannedScenario::row));
        table(f, &rows)?;
        writeln!(f)?;
        let mut rows = Vec::new();
        for limit in &self.limits {
            let used = format!("{:.1} / {} per {}", limit.worst, limit.regular_max(), shown(limit.per));
            let note = if limit.burst > 0.0 {
                let burst = format!("{:.1} / {}", limit.worst + limit.burst, limit.max);
                format!("{}, with a confirm burst {burst}", verdict(limit.fits()))
            } else {
                verdict(limit.fits())
            };
            rows.push(vec!["limit".to_owned(), limit.name.clone(), used, note]);
        }
        for pool in &self.pools {
            let used = format!("{} / {} handshakes per {}", pool.worst, pool.room(), shown(pool.per));
            let note = if pool.users == 0 {
                "no users: off".to_owned()
            } else {
                verdict(pool.fits())
            };
            rows.push(vec!["pool".to_owned(), pool.name.clone(), used, note]);
        }
        let used = format!("{} / {}", self.series, self.series_max);
        rows.push(vec![
            "series".to_owned(),
            "metrics".to_owned(),
            used,
            verdict(self.series <= self.series_max),
        ]);
        table(f, &rows)
    }
}

impl PlannedScenario {
    fn row(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            if self.enabled {
                self.schedule.clone()
            } else {
                format!("off ({})", self.schedule)
            },
            shown(self.deadline),
            self.requests.to_string(),
            self.handshakes.to_string(),
            self.messages.to_string(),
            format!("{:.1}", self.requests_per_minute),
            format!("{:.1}", self.handshakes_per_minute),
        ]
    }
}

fn verdict(fits: bool) -> String {
    if fits { "ok".to_owned() } else { "too much".to_owned() }
}

/// Writes rows with aligned columns, two spaces apart, without trailing spaces.
fn table(f: &mut Formatter<'_>, rows: &[Vec<String>]) -> std::fmt::Result {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}
