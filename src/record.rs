//! Fans what was judged out to the sinks. A sink receives a [`Run`] and nothing else; it never holds up the judging and
//! never tells anything back.

pub mod encode;
pub mod live;
pub mod metrics;
pub mod trend;

use crate::run::Run;
use std::sync::Arc;

/// Receives everything that was judged, in order.
pub trait Sink: Send + Sync {
    /// Takes one run. Must not block for longer than it takes to put the run somewhere.
    fn take(&self, run: &Arc<Run>);
}

/// All sinks.
#[derive(Clone, Default)]
pub struct Fan {
    sinks: Vec<Arc<dyn Sink>>,
}

impl Fan {
    /// A fan with these sinks, in this order.
    pub fn new(sinks: Vec<Arc<dyn Sink>>) -> Self {
        Self { sinks }
    }

    /// Hands `run` to every sink.
    pub fn take(&self, run: Run) {
        let run = Arc::new(run);
        for sink in &self.sinks {
            sink.take(&run);
        }
    }
}
