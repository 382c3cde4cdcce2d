//! Data on stdout, as a table or as JSON; prose on stderr; progress bars on stderr where it is a terminal.

mod colour;

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::Duration;

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

/// How data are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs: one JSON value.
    Json,
}

/// What a verb prints in the end: a value for programs, a table for people.
pub struct Answer {
    json: serde_json::Value,
    table: Table,
    has_header: bool,
}

impl Answer {
    /// An answer of several rows; JSON is the value given.
    pub fn rows<const N: usize>(
        value: &impl Serialize,
        header: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> Self {
        let mut table = plain_table();
        table.set_header(header);
        for row in rows {
            table.add_row(row);
        }
        lay_out(&mut table);
        Self { json: json_of(value), table, has_header: true }
    }

    /// An answer of one record: JSON is the value, the table a line for each of its fields.
    pub fn record(value: &impl Serialize) -> Self {
        let json = json_of(value);
        let mut table = plain_table();
        add_fields(&mut table, "", &json);
        lay_out(&mut table);
        Self { json, table, has_header: false }
    }

    /// Prints it on stdout. A reader that went away (`| head`) is no error.
    pub fn print(&self, format: Format) {
        let text = match format {
            Format::Json => serde_json::to_string_pretty(&self.json).unwrap_or_default(),
            Format::Table => {
                let lines = self.table.lines().map(|line| line.trim_end().to_owned());
                let is_painted = colour::is_painted(&io::stdout());
                let painted = lines.enumerate().map(|(at, line)| match (is_painted, at) {
                    (false, _) => line + "\n",
                    (true, 0) if self.has_header => colour::heading(&line) + "\n",
                    (true, _) => colour::line(&line) + "\n",
                });
                painted.collect::<String>()
            }
        };
        let _ = writeln!(io::stdout().lock(), "{}", text.trim_end());
    }
}

/// Columns apart by two spaces, nothing else; lines are never broken, so that they can be cut and searched.
fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn lay_out(table: &mut Table) {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
}

fn json_of(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).expect("answers have text keys and finite numbers only")
}

fn add_fields(table: &mut Table, prefix: &str, value: &serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, field) in fields {
                let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                add_fields(table, &name, field);
            }
        }
        serde_json::Value::String(text) => {
            table.add_row([prefix, text]);
        }
        other => {
            table.add_row([prefix, &other.to_string()]);
        }
    }
}

/// All progress bars, so that prose does not run into them.
fn bars() -> &'static MultiProgress {
    static BARS: OnceLock<MultiProgress> = OnceLock::new();
    BARS.get_or_init(|| {
        let target =
            if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        MultiProgress::with_draw_target(target)
    })
}

/// Prints a line of data on stdout, for verbs that go on and have several. A reader that went away is no error.
pub fn print_line(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Prints a page of Markdown on stdout; its headings are painted on a terminal.
pub fn print_page(page: &str) {
    let is_painted = colour::is_painted(&io::stdout());
    for line in page.trim_end().lines() {
        let is_heading = is_painted && line.starts_with('#');
        print_line(&if is_heading { colour::heading(line) } else { line.to_owned() });
    }
}

/// A failure as stderr shows it.
pub fn painted_failure(text: &str) -> String {
    if !colour::is_painted(&io::stderr()) {
        return text.to_owned();
    }
    let lines = text.lines().map(colour::failure);
    lines.collect::<Vec<_>>().join("\n")
}

/// Says a line on stderr, above the progress bars.
pub fn say(line: &str) {
    bars().suspend(|| {
        let _ = writeln!(io::stderr().lock(), "{line}");
    });
}

/// Is somebody watching stderr?
pub fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// A bar for long work of a known length; hidden where stderr is no terminal. Clear it when done.
pub fn bar(what: &str, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}")
        .expect("the template is right");
    let bar = bars().add(ProgressBar::new(length).with_style(style));
    bar.set_message(what.to_owned());
    bar
}

/// A line that shows what is going on; hidden where stderr is no terminal. Clear it when done.
pub fn spinner(what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg}").expect("the template is right");
    let bar = bars().add(ProgressBar::new_spinner().with_style(style));
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
