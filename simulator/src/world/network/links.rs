//! The links between the hosts: who is where, which way is cut, and how long a frame is under way.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::serve::Incoming;
use super::weather::{Decay, Line, Lines, Weather};
use crate::{Dice, HostId, TICK, Trace};

/// One direction between two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way {
    pub from: HostId,
    pub to: HostId,
}

impl Way {
    pub(super) fn back(self) -> Self {
        Self { from: self.to, to: self.from }
    }
}

/// How long a frame is under way, drawn evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DelayRange {
    /// At least a [`TICK`]; less counts as one.
    pub least: Duration,
    /// At most this.
    pub most: Duration,
}

impl Default for DelayRange {
    fn default() -> Self {
        Self { least: TICK, most: 3 * TICK }
    }
}

/// The network between all hosts of a run.
#[derive(Debug)]
pub struct Net {
    links: Mutex<Links>,
    trace: Arc<Trace>,
}

#[derive(Debug)]
struct Links {
    dice: Dice,
    delay: DelayRange,
    cut: BTreeSet<Way>,
    weather: BTreeMap<Way, Weather>,
    /// The ways on which nothing gets through until a simulated time, when the connections break.
    stalled: BTreeMap<Way, Duration>,
    decays: Vec<Decay>,
    /// Bits that have flipped on the way, by the name of the call.
    flipped: BTreeMap<String, u64>,
    /// The connections that break before the next tick.
    breaking: BTreeSet<Way>,
    lines: Lines,
    hosts: BTreeMap<String, HostId>,
    listeners: BTreeMap<String, (HostId, mpsc::Sender<Incoming>)>,
}

impl Net {
    pub(crate) fn new(dice: Dice, delay: DelayRange, trace: Arc<Trace>) -> Self {
        let links = Links {
            dice,
            delay,
            cut: BTreeSet::new(),
            weather: BTreeMap::new(),
            stalled: BTreeMap::new(),
            decays: Vec::new(),
            flipped: BTreeMap::new(),
            breaking: BTreeSet::new(),
            lines: Lines::default(),
            hosts: BTreeMap::new(),
            listeners: BTreeMap::new(),
        };
        Self { links: Mutex::new(links), trace }
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().expect("no panic happens while the links are locked")
    }

    pub(crate) fn name(&self, name: &str, host: HostId) {
        self.links().hosts.insert(name.to_owned(), host);
    }

    /// Cuts one direction: what is under way there is lost too.
    pub fn cut_way(&self, from: HostId, to: HostId) {
        self.links().cut.insert(Way { from, to });
    }

    /// Cuts both directions between two hosts.
    pub fn cut(&self, one: HostId, other: HostId) {
        self.cut_way(one, other);
        self.cut_way(other, one);
    }

    /// Heals both directions between two hosts. Streams that lost something stay silent; new calls get through.
    pub fn heal(&self, one: HostId, other: HostId) {
        let mut links = self.links();
        links.cut.remove(&Way { from: one, to: other });
        links.cut.remove(&Way { from: other, to: one });
    }

    /// Heals every link: nothing is cut, no bit flips, and the weather is calm. What stalls breaks.
    pub fn heal_all(&self) {
        let mut links = self.links();
        links.cut.clear();
        links.weather.clear();
        links.decays.clear();
        for (way, _) in std::mem::take(&mut links.stalled) {
            links.breaking.insert(way);
        }
    }

    /// Sets the weather of one direction.
    pub fn set_weather(&self, from: HostId, to: HostId, weather: Weather) {
        let (mut links, way) = (self.links(), Way { from, to });
        if weather == Weather::default() {
            links.weather.remove(&way);
        } else {
            links.weather.insert(way, weather);
        }
    }

    /// From now on bits flip on the way in what some calls carry.
    pub fn begin_decay(&self, decay: Decay) {
        self.links().decays.push(decay);
    }

    /// They do no more.
    pub fn end_decay(&self, decay: Decay) {
        self.links().decays.retain(|other| *other != decay);
    }

    /// How many bits have flipped on the way, by the name of the call.
    pub fn flipped(&self) -> BTreeMap<String, u64> {
        self.links().flipped.clone()
    }

    /// What arrives of some data that a call carries: the same, but for a bit that flips.
    pub(super) fn carry(&self, now: Duration, way: Way, path: &str, data: Bytes) -> Bytes {
        let mut links = self.links();
        let links = &mut *links;
        let drawn = links.decays.iter().find_map(|decay| decay.draw(path, data.len(), &mut links.dice));
        let Some(bit) = drawn else { return data };
        let call = path.rsplit('/').next().unwrap_or_default();
        *links.flipped.entry(call.to_owned()).or_default() += 1;
        self.trace.record(
            now,
            way.from,
            format_args!("> {} flips bit {bit} of {} bytes in {call}", way.to, data.len()),
        );
        let mut flipped = data.to_vec();
        flipped[(bit / 8) as usize] ^= 1 << (bit % 8);
        flipped.into()
    }

    /// Breaks every connection between two hosts: what is under way on them is lost, and both ends see a reset.
    pub fn break_between(&self, one: HostId, other: HostId) {
        self.links().breaking.insert(Way { from: one, to: other });
    }

    /// Breaks the calls of whose path this is a part, each with its connection; gives their number.
    pub fn break_calls(&self, part: &str) -> usize {
        self.links().lines.break_calls(part)
    }

    /// What happens between two ticks: connections break.
    pub(crate) fn step(&self, now: Duration) {
        let mut links = self.links();
        let links = &mut *links;
        links.stalled.retain(|way, until| {
            let goes_on = now < *until;
            if !goes_on {
                links.breaking.insert(*way);
            }
            goes_on
        });
        for way in std::mem::take(&mut links.breaking) {
            self.trace.record(now, way.from, format_args!("breaks with {}", way.to));
            links.lines.break_between(way.from, way.to);
        }
    }

    pub(super) fn open_line(&self, way: Way, path: &str) -> Arc<Line> {
        self.links().lines.open(way, path)
    }

    /// Whether the answer of a call that was carried out goes under, with the connection.
    pub(super) fn loses_answer(&self, back: Way) -> bool {
        let mut links = self.links();
        let links = &mut *links;
        let lost = links.weather.get(&back).is_some_and(|weather| weather.loses_answer(&mut links.dice));
        if lost {
            links.breaking.insert(back);
        }
        lost
    }

    /// Sets how long frames are under way from now on.
    pub fn set_delay(&self, delay: DelayRange) {
        self.links().delay = delay;
    }

    /// Whether nothing is lost on a way at present.
    pub(super) fn passes(&self, way: Way) -> bool {
        let links = self.links();
        !links.cut.contains(&way) && !links.stalled.contains_key(&way)
    }

    /// Sends a frame: the simulated time of its arrival, not before `earliest`; `None` when it is lost.
    pub(super) fn send(
        &self,
        now: Duration,
        earliest: Duration,
        way: Way,
        frame: &str,
        bytes: usize,
    ) -> Option<Duration> {
        let mut links = self.links();
        // Drawn for a lost frame too: a cut shifts no other draw.
        let delay = links.draw_delay() + links.draw_weather(now, way);
        let lost = links.cut.contains(&way) || links.stalled.contains_key(&way);
        let lost_word = if lost { " lost" } else { "" };
        self.trace.record(now, way.from, format_args!("> {} {frame} {bytes}{lost_word}", way.to));
        (!lost).then(|| earliest.max(now + delay))
    }

    /// How long news of the other end (a refusal, a reset) are under way.
    pub(super) fn delay(&self) -> Duration {
        self.links().draw_delay()
    }

    /// The host of an address, whether or not anybody listens there.
    pub(super) fn host_of(&self, address: &str) -> Option<HostId> {
        let name = address.rsplit_once(':').map_or(address, |(name, _port)| name);
        self.links().hosts.get(name).copied()
    }

    pub(super) fn listen(&self, host: HostId, address: &str, calls: mpsc::Sender<Incoming>) -> io::Result<()> {
        if self.host_of(address) != Some(host) {
            return Err(io::Error::from(io::ErrorKind::AddrNotAvailable));
        }
        let mut links = self.links();
        if links.listeners.contains_key(address) {
            return Err(io::Error::from(io::ErrorKind::AddrInUse));
        }
        links.listeners.insert(address.to_owned(), (host, calls));
        Ok(())
    }

    pub(super) fn listener(&self, address: &str) -> Option<mpsc::Sender<Incoming>> {
        self.links().listeners.get(address).map(|(_, calls)| calls.clone())
    }

    pub(super) fn forget_listener(&self, address: &str) {
        self.links().listeners.remove(address);
    }

    pub(crate) fn forget_listeners(&self, host: HostId) {
        self.links().listeners.retain(|_, (owner, _)| *owner != host);
    }
}

impl Links {
    /// What the weather adds to a frame's delay. Lets the way stall, if that is drawn.
    fn draw_weather(&mut self, now: Duration, way: Way) -> Duration {
        let Some(weather) = self.weather.get(&way) else { return Duration::ZERO };
        if let Some(stall) = weather.draw_stall(&mut self.dice) {
            self.stalled.entry(way).or_insert(now + stall);
        }
        weather.draw_lateness(&mut self.dice)
    }

    fn draw_delay(&mut self) -> Duration {
        let least = self.delay.least.max(TICK).as_micros() as u64;
        let most = self.delay.most.as_micros() as u64;
        Duration::from_micros(self.dice.between(least, most.max(least)))
    }
}
