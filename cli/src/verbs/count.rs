//! `holdfast count`.

use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use holdfast_client::Documents;
use holdfast_client::ids::{CountId, ReservationId};
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use serde::Serialize;

use super::documents::Filter;
use super::lines::Condition;
use crate::ask::Asking;
use crate::connect::{Reading, failure_of};
use crate::dates;
use crate::failure::Failure;
use crate::ids::CountText;
use crate::output::{Answer, Format};

/// Counts of what lies on the shelves, while it is sold.
#[derive(Debug, Subcommand)]
pub enum Count {
    /// Begin to count: nothing is kept from sale by it.
    Open(Open),
    /// Say what was counted, right after it was: the books note what they have at that moment.
    Record(Record),
    /// Bring the books to what was counted, on top of what has happened since.
    Apply(Ended),
    /// Give counts up: they change nothing.
    Cancel(Ended),
    /// Show a count.
    Get(Get),
    /// Show the counts, oldest first within each shard.
    List(List),
}

/// Begin to count: nothing is kept from sale by it.
#[derive(Debug, Args)]
pub struct Open {
    /// What is counted; each SKU is a count of its own, of all its lots.
    #[arg(required = true, value_name = "SKU")]
    skus: Vec<String>,
    /// Where; the cluster's default location if not given.
    #[arg(long, default_value = "", hide_default_value = true)]
    location: String,
    /// A name for all counts that belong together.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    stocktake: String,
    #[command(flatten)]
    asking: Asking,
}

/// Say what was counted, right after it was: the books note what they have at that moment.
#[derive(Debug, Args)]
pub struct Record {
    /// The count, by the id that `count open` printed.
    #[arg(value_name = "ID")]
    count: CountText,
    /// How many, of which lot, in which condition (resellable if not said); repeatable. Of the resellable units those too that are
    /// held, or sold and not shipped.
    #[arg(long = "line", required = true, value_name = "UNITS[:LOT[:CONDITION]]")]
    lines: Vec<CountedUnits>,
    #[command(flatten)]
    asking: Asking,
}

/// One count, several, or all that are open under a name.
#[derive(Debug, Args)]
pub struct Ended {
    /// The counts, by the ids that `count open` printed.
    #[arg(value_name = "ID", required_unless_present = "stocktake")]
    counts: Vec<CountText>,
    /// All counts under this name that are open.
    #[arg(long, value_name = "NAME", conflicts_with = "counts")]
    stocktake: Option<String>,
    #[command(flatten)]
    asking: Asking,
}

/// Show a count.
#[derive(Debug, Args)]
pub struct Get {
    /// Its id.
    #[arg(value_name = "ID")]
    count: CountText,
    #[command(flatten)]
    reading: Reading,
}

/// Show the counts, oldest first within each shard.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    filter: Filter,
    /// Only those under this name.
    #[arg(long, value_name = "NAME")]
    stocktake: Option<String>,
    #[command(flatten)]
    reading: Reading,
}

/// `UNITS`, `UNITS:LOT`, `UNITS:LOT:CONDITION`, or `UNITS::CONDITION` of an item that has no lots.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CountedUnits(v1::CountedUnits);

impl FromStr for CountedUnits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "write UNITS, UNITS:LOT or UNITS:LOT:CONDITION, the condition being resellable, damaged or \
                            quality-control, and the lot empty where the item has none";
        let (units, rest) = text.split_once(':').unwrap_or((text, ""));
        let units = units.parse().map_err(|_| FORM.to_owned())?;
        // A lot's name may have a colon in it: only a condition ends it.
        let condition =
            rest.rsplit_once(':').and_then(|(lot, name)| Some((lot, Condition::from_str(name, false).ok()?)));
        let (lot_id, condition) = condition.map_or((rest, None), |(lot, condition)| (lot, Some(condition)));
        Ok(Self(v1::CountedUnits { lot_id: lot_id.to_owned(), condition: Condition::wire(condition), units }))
    }
}

#[derive(Serialize)]
struct LineRow {
    lot: String,
    condition: &'static str,
    /// What the books had when the count was opened.
    at_opening: u64,
    counted: Option<u64>,
    /// What the books had when that was recorded.
    on_hand: Option<u64>,
    found: u64,
    written_off: u64,
    /// Units that the count had missed and that left since: they were there.
    contradicted: u64,
}

#[derive(Serialize)]
struct ShortRow {
    reservation: String,
    order_ref: String,
    held: u64,
    sold: u64,
}

#[derive(Serialize)]
struct CountRow {
    count: String,
    sku: String,
    location: String,
    stocktake: String,
    state: &'static str,
    lines: Vec<LineRow>,
    /// Whose units are missing; the first of them where there are many.
    short: Vec<ShortRow>,
    short_reservations: u64,
    created_at: String,
    ended_at: String,
    revision: u64,
}

impl Count {
    /// Shows or changes them.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Open(Open { skus, location, stocktake, asking }) => {
                let open = |sku: String| {
                    let (location_id, reference) = (location.clone(), stocktake.clone());
                    let open = v1::OpenCount { count_id: None, sku: sku.clone(), location_id, reference };
                    (sku, Operation::OpenCount(open))
                };
                ask_and_show(&asking, skus.into_iter().map(open).collect(), format).await
            }
            Self::Record(Record { count, lines, asking }) => {
                let lines = lines.into_iter().map(|line| line.0).collect();
                let record = v1::RecordCount { count_id: Some(count.id()), lines };
                ask_and_show(&asking, vec![(count.to_string(), Operation::RecordCount(record))], format).await
            }
            Self::Apply(apply) => {
                let each = |count_id| Operation::ApplyCount(v1::ApplyCount { count_id });
                ask_and_show(&apply.asking, apply.operations(each).await?, format).await
            }
            Self::Cancel(cancel) => {
                let each = |count_id| Operation::CancelCount(v1::CancelCount { count_id });
                ask_and_show(&cancel.asking, cancel.operations(each).await?, format).await
            }
            Self::Get(Get { count, reading }) => {
                let row = CountRow::from(reading.count(count.count()).await?);
                Answer::rows(&row, HEADER, row.table()).print(format);
                Ok(())
            }
            Self::List(List { filter, stocktake, reading }) => {
                let (which, shard, limit) = filter.parts();
                let mut found = reading.counts(which, shard, limit).await?;
                found.retain(|count| stocktake.as_ref().is_none_or(|name| *name == count.reference));
                show(found, format);
                Ok(())
            }
        }
    }
}

impl Ended {
    /// What is asked of each of them.
    async fn operations(
        &self,
        each: impl Fn(Option<v1::Id>) -> Operation,
    ) -> Result<Vec<(String, Operation)>, Failure> {
        let mut ids: Vec<CountId> = self.counts.iter().map(CountText::count).collect();
        if let Some(name) = &self.stocktake {
            let client = self.asking.connect().await?;
            let which = Documents { open_only: true, ..Documents::default() };
            let mut open = client.reader(Default::default()).counts(which);
            while let Some(count) = open.next().await.map_err(failure_of)? {
                ids.extend(count.count_id.filter(|_| count.reference == *name).map(CountId::from));
            }
            if ids.is_empty() {
                let failure = Failure::not_found(format!("no count under the name {name:?} is open"));
                return Err(failure.hint("`holdfast count list` shows the counts there are"));
            }
        }
        Ok(ids.into_iter().map(|id| (id.to_string(), each(Some(id.into())))).collect())
    }
}

/// Asks for all of them, shows the counts they are about as they stand then, and fails where one of them has.
async fn ask_and_show(asking: &Asking, operations: Vec<(String, Operation)>, format: Format) -> Result<(), Failure> {
    let (client, outcomes) = asking.each(operations).await?;
    let reader = client.reader(Default::default());
    let (mut found, mut failed) = (Vec::new(), None);
    for outcome in outcomes {
        match outcome {
            Ok(done) => {
                if let Some(id) = done.count_id {
                    found.push(reader.count(id).await.map_err(failure_of)?.value);
                }
            }
            Err(failure) => failed = failed.or(Some(failure)),
        }
    }
    if !found.is_empty() || failed.is_none() {
        show(found, format);
    }
    failed.map_or(Ok(()), Err)
}

fn show(found: Vec<v1::Count>, format: Format) {
    let rows: Vec<CountRow> = found.into_iter().map(CountRow::from).collect();
    let shown: Vec<_> = rows.iter().flat_map(CountRow::table).collect();
    Answer::rows(&rows, HEADER, shown).print(format);
}

const HEADER: [&str; 13] = [
    "count",
    "state",
    "sku",
    "location",
    "lot",
    "condition",
    "at opening",
    "counted",
    "on hand",
    "found",
    "written off",
    "contradicted",
    "short",
];

impl CountRow {
    /// A row for each line; one without where there is none.
    fn table(&self) -> Vec<[String; 13]> {
        let n = |units: u64| units.to_string();
        let row = |line: Option<&LineRow>| {
            let of = |of: fn(&LineRow) -> u64| line.map(of).map(n).unwrap_or_default();
            [
                self.count.clone(),
                self.state.to_owned(),
                self.sku.clone(),
                self.location.clone(),
                line.map(|line| line.lot.clone()).unwrap_or_default(),
                line.map_or("", |line| line.condition).to_owned(),
                of(|line| line.at_opening),
                line.and_then(|line| line.counted).map(n).unwrap_or_default(),
                line.and_then(|line| line.on_hand).map(n).unwrap_or_default(),
                of(|line| line.found),
                of(|line| line.written_off),
                of(|line| line.contradicted),
                n(self.short_reservations),
            ]
        };
        if self.lines.is_empty() { vec![row(None)] } else { self.lines.iter().map(|line| row(Some(line))).collect() }
    }
}

impl From<v1::Count> for CountRow {
    fn from(count: v1::Count) -> Self {
        let state = match count.state() {
            v1::CountState::Unspecified => "",
            v1::CountState::Open => "open",
            v1::CountState::Applied => "applied",
            v1::CountState::Cancelled => "cancelled",
        };
        let short = |short: v1::ShortReservation| ShortRow {
            reservation: short.reservation_id.map(|id| ReservationId::from(id).to_string()).unwrap_or_default(),
            order_ref: short.order_ref,
            held: short.held,
            sold: short.sold,
        };
        Self {
            count: count.count_id.map(|id| CountId::from(id).to_string()).unwrap_or_default(),
            sku: count.sku,
            location: count.location_id,
            stocktake: count.reference,
            state,
            lines: count.lines.into_iter().map(LineRow::from).collect(),
            short: count.short.into_iter().map(short).collect(),
            short_reservations: count.short_reservations,
            created_at: dates::instant_text(count.created_at_ms),
            ended_at: dates::instant_text(count.ended_at_ms),
            revision: count.revision,
        }
    }
}

impl From<v1::CountLine> for LineRow {
    fn from(line: v1::CountLine) -> Self {
        let condition = match line.condition() {
            v1::Condition::Unspecified => "",
            v1::Condition::Resellable => "resellable",
            v1::Condition::Damaged => "damaged",
            v1::Condition::QualityControl => "quality_control",
        };
        Self {
            lot: line.lot_id,
            condition,
            at_opening: line.at_opening,
            counted: line.is_counted.then_some(line.counted),
            on_hand: line.is_counted.then_some(line.on_hand),
            found: line.found,
            written_off: line.written_off,
            contradicted: line.contradicted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_read_as_it_is_written() {
        let line = |lot: &str, condition: v1::Condition| {
            let lot_id = lot.to_owned();
            Ok(CountedUnits(v1::CountedUnits { lot_id, condition: condition.into(), units: 5 }))
        };
        assert_eq!("5".parse(), line("", v1::Condition::Unspecified));
        assert_eq!("5:A:1".parse(), line("A:1", v1::Condition::Unspecified));
        assert_eq!("5:A:damaged".parse(), line("A", v1::Condition::Damaged));
        assert_eq!("5::quality-control".parse(), line("", v1::Condition::QualityControl));
        assert!("A".parse::<CountedUnits>().is_err() && "-1".parse::<CountedUnits>().is_err());
    }
}
