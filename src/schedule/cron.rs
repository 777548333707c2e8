//! Calendar schedules. tokio-cron-scheduler only enqueues a wake into the lane; overlap, concurrency, deadlines and panics
//! are the lane's and the runner's. Its jobs keep the zone's offset of the moment they were made, so a job is made anew when
//! the offset changes (dependencies.md section 4).

use super::lane::Wake;
use super::{Lanes, ScheduleError, is_cron};
use crate::catalog::Schedule;
use crate::clock;
use crate::limits::CRON_CHANNEL_MIN;
use chrono::{Offset, TimeZone};
use chrono_tz::Tz;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// How often offsets are compared: clocks change on whole minutes.
const OFFSETS_EVERY: Duration = Duration::from_secs(60);

/// The calendar scheduler with its jobs.
pub(super) struct Calendar {
    scheduler: JobScheduler,
    rearm: JoinHandle<()>,
}

struct Armed {
    lane: String,
    pattern: String,
    zone: Tz,
    offset_s: i32,
    job: tokio_cron_scheduler::job::JobId,
}

impl Calendar {
    /// Starts the scheduler if a lane has a calendar schedule.
    pub(super) async fn start(lanes: &Arc<Lanes>) -> Result<Option<Self>, ScheduleError> {
        let count = lanes.values().filter(|lane| is_cron(&lane.scenario)).count();
        if count == 0 {
            return Ok(None);
        }
        let channel = CRON_CHANNEL_MIN.max((2 * count).next_power_of_two());
        let scheduler = JobScheduler::new_with_channel_size(channel)
            .await
            .map_err(|error| refused(&error))?;
        let mut armed = Vec::with_capacity(count);
        // One after another: concurrent adds can hang the scheduler for good.
        for (id, lane) in lanes.iter() {
            if let Schedule::Cron { pattern, zone } = &lane.scenario.schedule {
                armed.push(
                    arm(&scheduler, lanes, id, (pattern, *zone))
                        .await
                        .map_err(|error| refused(&error))?,
                );
            }
        }
        scheduler.start().await.map_err(|error| refused(&error))?;
        let rearm = tokio::spawn(follow_offsets(scheduler.clone(), Arc::clone(lanes), armed));
        Ok(Some(Self { scheduler, rearm }))
    }

    /// Stops enqueueing.
    pub(super) async fn stop(mut self) {
        self.rearm.abort();
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::warn!(%error, "schedule.cron: the calendar scheduler did not stop");
        }
    }
}

fn refused(error: &JobSchedulerError) -> ScheduleError {
    ScheduleError::Cron(error.to_string())
}

fn offset_s(zone: Tz) -> i32 {
    zone.offset_from_utc_datetime(&clock::now().naive_utc())
        .fix()
        .local_minus_utc()
}

async fn arm(
    scheduler: &JobScheduler,
    lanes: &Arc<Lanes>,
    id: &str,
    (pattern, zone): (&str, Tz),
) -> Result<Armed, JobSchedulerError> {
    // The library goes on holding its jobs after its end; they must hold up nothing of ours, the history's lock least of all.
    let (owner, lane) = (Arc::downgrade(lanes), id.to_owned());
    let offset_s = offset_s(zone);
    let job = Job::new_tz(pattern, zone, move |_, _| {
        if let Some(lane) = owner.upgrade().and_then(|lanes| lanes.get(&lane).cloned()) {
            lane.wake(Wake::Slot(Instant::now()));
        }
    })?;
    Ok(Armed {
        lane: id.to_owned(),
        pattern: pattern.to_owned(),
        zone,
        offset_s,
        job: scheduler.add(job).await?,
    })
}

/// Makes a job anew when its zone's offset is no longer the one it was made with.
async fn follow_offsets(scheduler: JobScheduler, lanes: Arc<Lanes>, mut armed: Vec<Armed>) {
    loop {
        tokio::time::sleep(OFFSETS_EVERY).await;
        for job in &mut armed {
            if offset_s(job.zone) == job.offset_s {
                continue;
            }
            let again = async {
                scheduler.remove(&job.job).await?;
                arm(&scheduler, &lanes, &job.lane, (&job.pattern, job.zone)).await
            };
            match again.await {
                Ok(again) => *job = again,
                Err(error) => tracing::error!(scenario = %job.lane, %error, "schedule.cron: not armed again"),
            }
        }
    }
}
