//! The drawing: rows from top to bottom, time from left to right. Names stand in a drawing of their own, so that they stay
//! where they are while the other one is moved.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::bars::{self, Lanes};
use super::text::{escape, seconds, shorten};
use super::{FaultSpan, Happened, NodeSpan, NodeState};

/// The most bars of faults, and of nodes.
pub(super) const MOST_FAULTS: usize = 1_000;
pub(super) const MOST_SPANS: usize = 1_500;

const NAMES_WIDTH: u32 = 170;
const PIXELS_A_SECOND: f64 = 300.0;
const WIDTHS: (f64, f64) = (1_200.0, 16_000.0);
/// What is shorter is drawn so wide, so that it can be seen and pointed at.
const LEAST_WIDTH: f64 = 2.0;
/// Between two lines of the axis, at least.
const STEP_WIDTH: f64 = 90.0;
const STEPS_US: [u64; 9] =
    [100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000];
const ROW: f64 = 14.0;
const NODE_ROW: f64 = 24.0;
const BAR: f64 = 10.0;
const LEAD: f64 = 4.0;
/// Rows above the first lane: the axis, and the stages of the run, of which several may be at one instant.
const TOP: f64 = 4.5;
/// Letters of a name.
const MOST_NAME: usize = 26;

/// Two drawings of one height.
pub(super) struct Drawing {
    names: String,
    time: String,
    y: f64,
    ends_us: u64,
    width: f64,
}

impl Drawing {
    /// Draws everything.
    pub(super) fn of(happened: &Happened, lanes: &Lanes<'_>) -> Self {
        let returns = lanes.values().flatten().map(|bar| bar.record.return_us.unwrap_or(bar.record.call_us));
        let ends_us = returns.chain([happened.ends_us, 1]).max().unwrap_or(1);
        let width = (ends_us as f64 / 1e6 * PIXELS_A_SECOND).clamp(WIDTHS.0, WIDTHS.1);
        let mut drawing = Self { names: String::new(), time: String::new(), y: TOP * ROW, ends_us, width };
        drawing.faults(&happened.faults);
        drawing.nodes(&happened.nodes);
        drawing.clients(lanes);
        drawing.axis(happened);
        drawing
    }

    /// The two drawings, side by side.
    pub(super) fn html(&self) -> String {
        let height = self.y + ROW;
        let (names, time, width) = (&self.names, &self.time, self.width);
        format!(
            "<div class=\"drawing\"><svg class=\"names\" xmlns=\"http://www.w3.org/2000/svg\" width=\"{NAMES_WIDTH}\" \
             height=\"{height}\">{names}</svg><svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" \
             height=\"{height}\">{time}</svg></div>"
        )
    }

    fn x(&self, at_us: u64) -> f64 {
        at_us as f64 / self.ends_us as f64 * self.width
    }

    fn name(&mut self, name: &str) {
        let (y, name) = (self.y + ROW - 3.0, escape(&shorten(name, MOST_NAME)));
        write!(self.names, "<text x=\"4\" y=\"{y}\">{name}</text>").expect("a string takes what is written");
    }

    fn bar(&mut self, class: &str, from_us: u64, until_us: u64, y: f64, height: f64, title: &str) {
        let (x, width) = (self.x(from_us), (self.x(until_us) - self.x(from_us)).max(LEAST_WIDTH));
        let title = escape(title);
        write!(
            self.time,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\">\
             <title>{title}</title></rect>"
        )
        .expect("a string takes what is written");
    }

    fn faults(&mut self, faults: &[FaultSpan]) {
        let mut kinds: BTreeMap<&str, Vec<&FaultSpan>> = BTreeMap::new();
        for fault in faults.iter().take(MOST_FAULTS) {
            kinds.entry(&fault.name).or_default().push(fault);
        }
        for (kind, spans) in kinds {
            self.name(kind);
            for span in spans {
                let until_us = span.until_us.unwrap_or(self.ends_us);
                let title = format!("{kind}\nfrom {} to {}", seconds(span.from_us), seconds(until_us));
                self.bar("fault", span.from_us, until_us, self.y + 2.0, BAR, &title);
            }
            self.y += ROW;
        }
        self.y += ROW / 2.0;
    }

    fn nodes(&mut self, nodes: &BTreeMap<u64, Vec<NodeSpan>>) {
        let mut left = MOST_SPANS;
        for (node, spans) in nodes {
            self.name(&format!("node {node}"));
            for (at, span) in spans.iter().enumerate().take(left) {
                let until_us = spans.get(at + 1).map_or(self.ends_us, |next| next.from_us);
                self.node(*node, span, until_us);
            }
            left = left.saturating_sub(spans.len());
            self.y += NODE_ROW;
        }
        self.y += ROW / 2.0;
    }

    fn node(&mut self, node: u64, span: &NodeSpan, until_us: u64) {
        let class = match span.state {
            NodeState::Up => "up",
            NodeState::Paused => "paused",
            NodeState::Down => "down",
            NodeState::LeftOut => "left-out",
            NodeState::Replaced => "replaced",
        };
        let mut title = format!("node {node} is {}", span.state.name());
        let groups: Vec<String> = span.leads.iter().map(ToString::to_string).collect();
        if !groups.is_empty() {
            title += &format!(", leads groups {}", groups.join(", "));
        }
        if !span.why.is_empty() {
            title += &format!(": {}", shorten(&span.why, 300));
        }
        title += &format!("\nfrom {} to {}", seconds(span.from_us), seconds(until_us));
        self.bar(class, span.from_us, until_us, self.y + 1.0, NODE_ROW - 4.0, &title);
        for group in &span.leads {
            let row = (group % 4) as f64;
            let title = format!("node {node} leads group {group}");
            self.bar("leads", span.from_us, until_us, self.y + 2.0 + row * (LEAD + 1.0), LEAD, &title);
        }
    }

    fn clients(&mut self, lanes: &Lanes<'_>) {
        for (client, lane) in lanes {
            self.name(&format!("client {client}"));
            for bar in lane {
                let mark = if bar.is_marked { " marked" } else { "" };
                let class = format!("{}{mark}", bars::class(bar.record));
                let until_us = bar.record.return_us.unwrap_or(self.ends_us);
                let y = self.y + 2.0 + bar.row as f64 * (BAR + 2.0);
                self.bar(&class, bar.record.call_us, until_us, y, BAR, &bars::told(bar.record));
            }
            self.y += (bars::rows(lane) as f64 * (BAR + 2.0) + 2.0).max(ROW);
        }
    }

    /// Lines of the axis, and of the run's stages, over all rows.
    fn axis(&mut self, happened: &Happened) {
        let step_us = STEPS_US.into_iter().find(|step_us| self.x(*step_us) >= STEP_WIDTH);
        let step_us = step_us.unwrap_or(self.ends_us);
        let mut lines = String::new();
        for at_us in (0..=self.ends_us).step_by(usize::try_from(step_us.max(1)).unwrap_or(usize::MAX)) {
            let label = format!("{} s", at_us as f64 / 1e6);
            lines += &line("axis", self.x(at_us), self.y, ROW - 3.0, &label);
        }
        for (nth, moment) in happened.moments.iter().enumerate() {
            let row = 2.0 + (nth % 3) as f64;
            lines += &line("moment", self.x(moment.at_us), self.y, row * ROW - 3.0, &moment.what);
        }
        // Below all that can be pointed at.
        self.time.insert_str(0, &lines);
    }
}

fn line(class: &str, x: f64, height: f64, label_y: f64, label: &str) -> String {
    let (label, label_x) = (escape(label), x + 3.0);
    format!(
        "<line class=\"{class}\" x1=\"{x:.1}\" y1=\"0\" x2=\"{x:.1}\" y2=\"{height:.1}\"/>\
         <text class=\"{class}\" x=\"{label_x:.1}\" y=\"{label_y}\">{label}</text>"
    )
}
