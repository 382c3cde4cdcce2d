//! Surveys of the shards for the metrics: every few seconds, a few hundred records at a time, beside the work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_inventory::Survey;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::core::Core;
use crate::shard::ShardHandle;

/// Between two surveys.
const EVERY: Duration = Duration::from_secs(5);
/// Records that are looked at while applying waits.
const AT_ONCE: usize = 256;
/// Between two pieces, so that a shard of a million SKUs costs a bounded part of a core.
const PAUSE: Duration = Duration::from_millis(1);

/// What the last survey of each shard counted.
#[derive(Debug, Default)]
pub(crate) struct Surveys(Mutex<BTreeMap<u32, Survey>>);

impl Surveys {
    pub(crate) fn of(&self, shard: u32) -> Option<Survey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&shard).cloned()
    }
}

/// Until the node stops: looks at each of its shards, again and again.
pub(crate) async fn survey_shards(core: Arc<Core>, mut stopping: watch::Receiver<bool>) {
    loop {
        for shard in core.shards().iter() {
            if let Some(survey) = survey(shard).await {
                core.surveys.0.lock().unwrap_or_else(PoisonError::into_inner).insert(shard.shard(), survey);
            }
        }
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = sleep(EVERY) => {}
        }
    }
}

async fn survey(shard: &ShardHandle) -> Option<Survey> {
    let mut survey = Survey::default();
    while !shard.group().read_shard(|shard| shard.survey(&mut survey, AT_ONCE))? {
        sleep(PAUSE).await;
    }
    Some(survey)
}
