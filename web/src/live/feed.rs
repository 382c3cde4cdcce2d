//! What one reader of availability hears, of whichever kind it is: what there is now of the SKUs that it asked for, then what changes.
//!
//! Promises that no change is lost between the two: what there is now is no older than what the node's watch had heard when it was read, and
//! while it is read nothing later is taken. Where it cannot be read, nothing counts as told, and it is read again: a position stands for what
//! was told, never for what should have been.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use holdfast_client::Client;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::hub::{Heard, Listener, Position, known, reaches};
use super::said::Said;
use super::since::{Changes, now, since};
use super::subscribed::Subscribed;
use crate::cursor::Cursor;
use crate::problem::Problem;
use crate::{Shown, Web};

/// How long it is waited for the node's own watch before what there is now is told without it.
const BEGINS: Duration = Duration::from_secs(5);
/// How long it may be behind what a reader has seen at another node.
const REACHES: Duration = Duration::from_secs(3);
/// Before what could not be read is read again.
const AGAIN: Duration = Duration::from_secs(1);

/// What a reader is to be told next.
#[derive(Debug)]
pub(super) enum Next {
    /// There is something to tell; nothing: what there is now was told before. `is_reset`: something was missed, and this is everything there
    /// is now.
    News { says: Vec<Said>, is_reset: bool },
    /// What there is now cannot be read: it is told as soon as it can be.
    Unread(Problem),
    /// What it asked for is not to be had, and it hears nothing of it.
    Refused(Problem),
    /// Nothing more is heard here.
    Over,
}

/// What was read of some SKUs.
struct Read {
    skus: BTreeSet<String>,
    changes: Result<Changes, Problem>,
    /// Something was missed before.
    is_reset: bool,
    /// Up to where it tells everything; `None`: that is not known.
    position: Option<Position>,
}

type Reading = Pin<Box<dyn Future<Output = Read> + Send>>;

/// See the module.
pub(super) struct Feed {
    web: Arc<Web>,
    client: Client,
    listener: Listener,
    shown: Shown,
    skus: Subscribed,
    /// Of these what there is now is to be told.
    owed: BTreeSet<String>,
    /// What it was told before does not count: something was missed.
    is_reset: bool,
    /// What a reader who comes back has seen.
    after: Option<Cursor>,
    /// The same work goes on when a wait for it is broken off.
    reading: Option<Reading>,
    /// When it may be read again; `None`: it did not fail.
    again_at: Option<Instant>,
    /// Up to where all was told.
    position: Option<Position>,
}

impl Feed {
    /// Of nothing yet.
    pub(super) fn new(web: &Arc<Web>, client: Client, shown: Shown) -> Self {
        Self {
            listener: web.hub.listen(&client),
            web: Arc::clone(web),
            client,
            shown,
            skus: Subscribed::default(),
            owed: BTreeSet::new(),
            is_reset: false,
            after: None,
            reading: None,
            again_at: None,
            position: None,
        }
    }

    /// Hears of these from now on, too: first what has changed since the reader was here, else what there is now.
    pub(super) fn add(&mut self, skus: BTreeSet<String>, after: Option<Cursor>) {
        self.skus.add(&skus);
        self.after = after;
        self.owed.extend(skus);
    }

    /// Hears of these no longer.
    pub(super) fn remove(&mut self, skus: &BTreeSet<String>) {
        self.skus.remove(skus);
        self.owed.retain(|sku| !skus.contains(sku));
    }

    pub(super) const fn skus(&self) -> &Subscribed {
        &self.skus
    }

    /// Up to where all was told, when it was told last.
    pub(super) fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    /// Whether nothing is left to tell, up to a position that may be a later one.
    pub(super) fn has_told_all(&mut self) -> bool {
        let has_told_all = self.reading.is_none() && self.owed.is_empty();
        if has_told_all {
            self.position = self.listener.heard_all_until().or(self.position.take());
        }
        has_told_all
    }

    /// What is to be told next. May be broken off.
    pub(super) async fn next(&mut self) -> Next {
        loop {
            if let Some(reading) = &mut self.reading {
                let read = reading.await;
                self.reading = None;
                match self.take(read) {
                    Some(next) => return next,
                    None => continue,
                }
            }
            if !self.owed.is_empty() {
                if let Some(at) = self.again_at {
                    sleep_until(at).await;
                }
                self.begin_reading();
                continue;
            }
            match self.listener.next().await {
                Heard::Changes(news) => {
                    self.position = Some(Arc::clone(&news.position));
                    let says = self.skus.news(&news.changes, self.shown);
                    if !says.is_empty() {
                        return Next::News { says, is_reset: false };
                    }
                }
                Heard::Missed => {
                    self.is_reset = true;
                    self.owed = self.skus.skus();
                }
                Heard::Over => return Next::Over,
            }
        }
    }

    fn begin_reading(&mut self) {
        let skus = std::mem::take(&mut self.owed);
        let (web, client, after) = (Arc::clone(&self.web), self.client.clone(), self.after.clone());
        self.reading = Some(Box::pin(read(web, client, skus, after, self.listener.position())));
    }

    /// Takes in what was read.
    fn take(&mut self, read: Read) -> Option<Next> {
        let Read { skus, changes, is_reset, position } = read;
        match changes {
            Ok(changes) => {
                self.again_at = None;
                self.after = None;
                if position.is_some() {
                    self.listener.go_on();
                }
                let is_reset = is_reset || std::mem::take(&mut self.is_reset);
                if is_reset {
                    self.skus.forget();
                }
                self.position = position.or(self.position.take());
                let says = self.skus.news(&changes, self.shown);
                Some(Next::News { says, is_reset })
            }
            Err(problem) if problem.status == 400 => {
                self.again_at = None;
                self.remove(&skus);
                Some(Next::Refused(problem))
            }
            Err(problem) => {
                let is_new = self.again_at.replace(Instant::now() + AGAIN).is_none();
                self.owed.extend(skus.into_iter().filter(|sku| self.skus.has(sku)));
                is_new.then_some(Next::Unread(problem))
            }
        }
    }
}

async fn read(
    web: Arc<Web>,
    client: Client,
    skus: BTreeSet<String>,
    after: Option<Cursor>,
    mut heard: watch::Receiver<Position>,
) -> Read {
    let mut position = known(&mut heard, BEGINS).await;
    let reached = match (&after, &position) {
        (Some(after), Some(_)) => reaches(&mut heard, after, REACHES).await,
        _ => None,
    };
    // Whoever waits for a turn is told meanwhile that it is not forgotten, and makes room when it goes.
    let _turn = web.readers.catching_up.acquire().await.expect("the turns of readers are never closed");
    if let (Some(after), Some(reached)) = (&after, &reached)
        && let Ok(until) = Cursor::read(reached)
        && let Some(changes) = since(&client, &skus, after, &until).await
    {
        return Read { skus, changes: Ok(changes), is_reset: false, position: Some(Arc::clone(reached)) };
    }
    position = reached.or(position);
    let until = position.as_ref().and_then(|position| Cursor::read(position).ok()).unwrap_or_default();
    let changes = now(&client, &skus, &until).await;
    Read { skus, changes, is_reset: after.is_some(), position }
}
