//! `holdfast reconcile`.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use futures_util::stream::{self, StreamExt};
use holdfast_client::ids::{CommandId, ReservationId, slot_of};
use holdfast_client::{
    Client, Command, CommandKey, Commit, ExecuteOptions, Fulfil, Reconcile as Correct, Reservations, Reserve,
};
use holdfast_proto::v1::{Cause, ErrorReason};
use serde::Serialize;

use super::inbox;
use crate::connect::{ClusterFlags, failure_of};
use crate::dates;
use crate::failure::Failure;
use crate::input;
use crate::members::Members;
use crate::output::{Answer, Format};
use crate::reconcile::{
    Books, Counted, Difference, Mending, OrderBooks, Records, Rows, Said, Sold, books_of_order, judge_count,
    judge_sale, judge_shipment, read,
};

/// Rows looked at at once.
const IN_FLIGHT: usize = 32;
/// Most bytes of a file.
const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;
/// Most reservations of one order that are looked at.
const MAX_OF_ORDER: usize = 1_000;
/// By how much the clock of the other system may be wrong.
const CLOCKS_DIFFER_MS: u64 = 3_600_000;

/// Hold another system's records against the books: what differs, what it is, and what would mend it.
///
/// A CSV file with a header says what lies where (`sku,on_hand`, and `location` and `lot` where they are known) or what was sold
/// or shipped (`order_ref,sku,quantity`, and `location`; `sold_at` or `shipped_at`). Nothing is changed without `--apply`. What is applied goes under an id that follows
/// from the file's content and the row: the same file again within what the cluster remembers applies nothing twice.
///
/// With `--inbox`, a folder is watched: each file in it that stays as it is from one look to the next is worked, in the order of names, a
/// report is written beside it, and it is moved to `done` or `failed`. What a file says is told by its name (`counts…`, `sales…`,
/// `shipments…`), or by its header. One watcher a folder; it may be killed at any time and started again.
///
/// Exit code 1: something differs, and was not mended.
#[derive(Debug, Args)]
pub struct Reconcile {
    /// The file, packed by gzip or not.
    #[arg(required_unless_present = "inbox", conflicts_with = "inbox")]
    file: Option<PathBuf>,
    /// Watch this folder.
    #[arg(long, value_name = "DIR")]
    inbox: Option<PathBuf>,
    /// How often the folder is looked at: 500ms, 30s, 5m.
    #[arg(long, requires = "inbox", default_value = "30s", value_parser = pause)]
    pub(super) every: Duration,
    /// End once what is finished in the folder has been worked.
    #[arg(long, requires = "inbox")]
    pub(super) once: bool,
    /// What it says; a file's default is counts.
    #[arg(long, value_enum)]
    pub(super) kind: Option<Records>,
    /// No sale or shipment in it was before, but for those with a `sold_at` or `shipped_at` of their own: 2027-05-31T09:00:00Z.
    ///
    /// Orders that ended are remembered for a time (7 days if cluster.toml says nothing). What is not known to be younger is told as
    /// `too_old_to_tell` where the books lack it, and is never applied.
    #[arg(long, value_name = "TIME", value_parser = dates::instant)]
    since: Option<u64>,
    /// Mend what can be mended.
    #[arg(long)]
    pub(super) apply: bool,
    /// Who does it, for the change log.
    #[arg(long, default_value = "", hide_default_value = true)]
    actor: String,
    #[command(flatten)]
    pub(super) cluster: ClusterFlags,
}

/// A row of the report.
#[derive(Serialize)]
struct ReportRow {
    line: u64,
    order_ref: String,
    sku: String,
    location: String,
    lot: String,
    theirs: u64,
    ours: u64,
    /// What the difference is.
    discrepancy: &'static str,
    /// What would mend it; empty: somebody has to look.
    proposal: String,
    /// What came of it: proposed, applied, applied before, refused and why, or for somebody to look at.
    outcome: String,
    #[serde(skip)]
    is_mended: bool,
}

/// What was found of a file.
#[derive(Serialize)]
pub(super) struct Report {
    rows: usize,
    agreeing: usize,
    differing: usize,
    mended: usize,
    discrepancies: Vec<ReportRow>,
}

/// One thing that the other system says.
#[derive(Clone)]
enum Statement {
    Counted(Counted),
    Sold(Sold),
    Shipped(Sold),
}

impl Statement {
    fn line(&self) -> u64 {
        match self {
            Self::Counted(it) => it.line,
            Self::Sold(it) | Self::Shipped(it) => it.line,
        }
    }

    /// What it says of an order; a count says nothing of any.
    const fn order(&self) -> Option<&Sold> {
        match self {
            Self::Counted(_) => None,
            Self::Sold(it) | Self::Shipped(it) => Some(it),
        }
    }

    fn parts(&self) -> (&str, &str, &str, &str) {
        match self {
            Self::Counted(it) => ("", &it.sku, &it.location, &it.lot),
            Self::Sold(it) | Self::Shipped(it) => (&it.order_ref, &it.sku, &it.location, ""),
        }
    }
}

impl Reconcile {
    /// Reads the file, looks at the books, and mends what it may.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let file = match (&self.inbox, &self.file) {
            (Some(dir), _) => return inbox::watch(&self, dir, format).await,
            (None, Some(file)) => file,
            (None, None) => return Err(Failure::usage("name a file, or a folder with --inbox")),
        };
        let bytes = read_bounded(file)?;
        let name = file.display().to_string();
        let said = said(&bytes, self.kind.unwrap_or(Records::Counts), self.since).map_err(|why| why.about(&name))?;
        let client = self.cluster.connect().await?;
        let content = CommandId::of_key(&String::from_utf8_lossy(&bytes));
        let report = Job { client: &client, file: content, name: &name, verb: &self }.look_at(said).await?;
        report.print(format);
        let (differing, mended) = (report.differing, report.mended);
        if differing == mended {
            return Ok(());
        }
        let left = differing - mended;
        let failure = Failure::check(format!("{left} of {} rows differ from the books", report.rows));
        Err(if self.apply { failure } else { failure.hint("`--apply` does what is proposed") })
    }
}

/// All of a file, unpacked.
pub(super) fn read_bounded(file: &Path) -> Result<Vec<u8>, Failure> {
    let shown = file.display();
    let unreadable = |error: std::io::Error| Failure::usage(format!("{shown} cannot be read: {error}"));
    let mut bytes = Vec::new();
    input::open(file)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Failure::usage(format!("{shown} has more than {MAX_FILE_BYTES} bytes")).hint("split it"));
    }
    Ok(bytes)
}

fn said(bytes: &[u8], kind: Records, since: Option<u64>) -> Result<Vec<Statement>, Failure> {
    Ok(match read(bytes, kind, since)? {
        Said::Counts(counts) => counts.into_iter().map(Statement::Counted).collect(),
        Said::Orders(orders) if kind == Records::Shipments => orders.into_iter().map(Statement::Shipped).collect(),
        Said::Orders(orders) => orders.into_iter().map(Statement::Sold).collect(),
    })
}

/// A pause: a number with its unit.
fn pause(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000)];
    let read = units.into_iter().find_map(|(unit, ms)| Some((text.strip_suffix(unit)?.parse::<u64>().ok()?, ms)));
    let pause_ms = read.and_then(|(number, ms)| number.checked_mul(ms)).filter(|ms| (100..=86_400_000).contains(ms));
    pause_ms.map(Duration::from_millis).ok_or_else(|| "write 100ms to a day, such as 30s or 5m".to_owned())
}

impl Report {
    fn print(&self, format: Format) {
        let header = ["line", "order", "sku", "location", "lot", "theirs", "ours", "what", "proposal", "outcome"];
        let row = |row: &ReportRow| {
            [
                row.line.to_string(),
                row.order_ref.clone(),
                row.sku.clone(),
                row.location.clone(),
                row.lot.clone(),
                row.theirs.to_string(),
                row.ours.to_string(),
                row.discrepancy.to_owned(),
                row.proposal.clone(),
                row.outcome.clone(),
            ]
        };
        Answer::rows(self, header, self.discrepancies.iter().map(row).collect::<Vec<_>>()).print(format);
    }
}

/// What came of a row that was to be mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mended {
    Now,
    /// By an earlier run of the same file.
    Before,
    /// By an earlier run of the same file, when the books were otherwise: they have changed since, and are left as they are.
    SeenToBefore,
}

impl Mended {
    const fn text(self) -> &'static str {
        match self {
            Self::Now => "applied",
            Self::Before => "applied before",
            Self::SeenToBefore => "seen to before: not applied again",
        }
    }
}

/// What is looked at and mended of one file.
pub(super) struct Job<'a> {
    pub(super) client: &'a Client,
    /// Follows from the file's content.
    pub(super) file: CommandId,
    /// How the file is called.
    pub(super) name: &'a str,
    pub(super) verb: &'a Reconcile,
}

/// What a file says of orders as a whole, and what the books can say of it.
struct File {
    rows: Rows,
    /// In milliseconds since the Unix epoch; `None`: no row says when it was.
    remembered_since: Option<u64>,
}

impl Job<'_> {
    /// Reads what the file says, and holds it against the books.
    pub(super) async fn work(&self, bytes: &[u8], kind: Records) -> Result<Report, Failure> {
        self.look_at(said(bytes, kind, self.verb.since)?).await
    }

    async fn look_at(&self, statements: Vec<Statement>) -> Result<Report, Failure> {
        let rows = statements.len();
        let file = &self.all_of(&statements).await?;
        let judged = stream::iter(statements).map(|statement| self.see_to(statement, file)).buffered(IN_FLIGHT);
        let judged: Vec<Result<Option<ReportRow>, Failure>> = judged.collect().await;
        let judged = judged.into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut discrepancies: Vec<ReportRow> = judged.into_iter().flatten().collect();
        discrepancies.sort_by_key(|row| row.line);
        let mended = discrepancies.iter().filter(|row| row.is_mended).count();
        let differing = discrepancies.len();
        Ok(Report { rows, agreeing: rows - differing, differing, mended, discrepancies })
    }

    /// What is known before any row is looked at.
    async fn all_of(&self, statements: &[Statement]) -> Result<File, Failure> {
        let orders = || statements.iter().filter_map(Statement::order);
        let rows = orders().map(|sold| (sold.order_ref.clone(), sold.sku.clone())).collect();
        let is_dated = orders().any(|sold| sold.at_ms.is_some());
        let remembered_since = if is_dated { Some(self.remembered_since().await?) } else { None };
        Ok(File { rows, remembered_since })
    }

    /// Since when no shard has forgotten an order that ended, in milliseconds since the Unix epoch.
    async fn remembered_since(&self) -> Result<u64, Failure> {
        let members = Members::find(&self.verb.cluster.addresses()).await?;
        let mut since = BTreeMap::new();
        for node in members.nodes().map(|(id, _)| id).collect::<Vec<_>>() {
            // A node that is away leads nothing.
            for standing in members.shard_standings(node).await.unwrap_or_default() {
                if standing.leader_node_id == node {
                    since.insert(standing.shard, standing.remembers_ended_since_ms.unwrap_or(u64::MAX));
                }
            }
        }
        let silent = (0..members.shards().await?).find(|shard| !since.contains_key(shard));
        if let Some(shard) = silent {
            let failure = Failure::unavailable(format!("no leader of shard {shard} says how far back it remembers"));
            return Err(failure.hint("try again"));
        }
        Ok(since.into_values().max().unwrap_or(u64::MAX))
    }

    /// A row of the report where the books differ.
    async fn see_to(&self, statement: Statement, file: &File) -> Result<Option<ReportRow>, Failure> {
        let about = |failure: Failure| failure.about(format!("{}:{}", self.name, statement.line()));
        let difference = match &statement {
            Statement::Counted(counted) => judge_count(counted, &self.books_of(counted).await.map_err(about)?),
            Statement::Sold(sold) => {
                let (books, is_all) = self.books_of_order(sold, file).await.map_err(about)?;
                judge_sale(sold, &books, is_all)
            }
            Statement::Shipped(sold) => {
                let (books, is_all) = self.books_of_order(sold, file).await.map_err(about)?;
                judge_shipment(sold, &books, is_all)
            }
        };
        let Some(difference) = difference else { return Ok(None) };
        let (order_ref, sku, location, lot) = statement.parts();
        let mut row = ReportRow {
            line: statement.line(),
            order_ref: order_ref.to_owned(),
            sku: sku.to_owned(),
            location: location.to_owned(),
            lot: lot.to_owned(),
            theirs: difference.theirs,
            ours: difference.ours,
            discrepancy: difference.finding.name(),
            proposal: difference.mending.as_ref().map(proposal).unwrap_or_default(),
            outcome: String::new(),
            is_mended: false,
        };
        row.outcome = match &difference.mending {
            None => "somebody has to look".to_owned(),
            Some(_) if !self.verb.apply => "proposed".to_owned(),
            Some(mending) => match self.mend(&statement, &difference, mending).await {
                Ok(mended) => {
                    row.is_mended = mended != Mended::SeenToBefore;
                    mended.text().to_owned()
                }
                Err(error) if is_of_the_row(&error) => format!("refused: {}", failure_of(error).message()),
                Err(error) => return Err(about(failure_of(error))),
            },
        };
        Ok(Some(row))
    }

    async fn books_of(&self, counted: &Counted) -> Result<Books, Failure> {
        let (reader, here) = (self.client.reader(Default::default()), self.at(&counted.location));
        if counted.lot.is_empty() {
            let stock = reader.stock(&counted.sku, None).await.map_err(failure_of)?.value;
            let level = stock.levels.into_iter().find(|level| level.location_id == here).unwrap_or_default();
            return Ok(Books { on_hand: level.on_hand, adjusted: Some(level.adjusted) });
        }
        let lot = reader.lot(&counted.sku, &counted.lot).await.map_err(failure_of)?.value;
        let level = lot.levels.iter().find(|level| level.location_id == here);
        Ok(Books { on_hand: level.map_or(0, |level| level.on_hand), adjusted: None })
    }

    /// The location that is meant; the cluster's default one where none is named.
    fn at(&self, location: &str) -> String {
        if location.is_empty() { self.client.routing().default_location_id } else { location.to_owned() }
    }

    /// What the reservations of the order have of it, and whether those are all that it can have had.
    async fn books_of_order(&self, sold: &Sold, file: &File) -> Result<(OrderBooks, bool), Failure> {
        let which = Reservations { state: None, order_ref: Some(sold.order_ref.clone()) };
        let reader = self.client.reader(Default::default());
        let found = reader.reservations(which).take(MAX_OF_ORDER).await.map_err(failure_of)?;
        let is_remembered = sold.at_ms.zip(file.remembered_since);
        let is_remembered = is_remembered.is_some_and(|(at, since)| at >= since.saturating_add(CLOCKS_DIFFER_MS));
        Ok((books_of_order(&found, sold, &file.rows), is_remembered && found.len() < MAX_OF_ORDER))
    }

    /// Does what would mend it.
    async fn mend(
        &self,
        statement: &Statement,
        difference: &Difference,
        mending: &Mending,
    ) -> Result<Mended, holdfast_client::Error> {
        let (order_ref, sku, location, lot) = statement.parts();
        match mending {
            Mending::Correct(delta) => {
                let correct = Correct::of(sku, *delta, difference.finding.wire()).at(location).lot(lot).repair();
                self.ask(statement, "correct", correct).await
            }
            Mending::Commit(reservation) => {
                self.ask(statement, "commit", Commit::of(ReservationId(*reservation))).await
            }
            Mending::Ship(reservation, line, units) => {
                let ship = Fulfil::of(ReservationId(*reservation)).line(*line, *units);
                self.ask(statement, "ship", ship).await
            }
            Mending::Sell(units) => {
                // The difference itself is noted too: the sale says nothing of it.
                let noted = Correct::of(sku, -i64::from(*units), difference.finding.wire()).at(location);
                if self.ask(statement, "note", noted).await? == Mended::SeenToBefore {
                    return Ok(Mended::SeenToBefore);
                }
                let random = self.key(statement, "reservation").0;
                let id = ReservationId::mint(0, slot_of(sku), random);
                let reserve = Reserve::new().id(id).line_at(sku, location, *units).order_ref(order_ref);
                self.ask(statement, "reserve", reserve).await?;
                self.ask(statement, "commit", Commit::of(id)).await
            }
        }
    }

    /// An id for one step of what a row needs: the same whenever the same file is read.
    fn key(&self, statement: &Statement, step: &str) -> CommandId {
        CommandId::of_key(&format!("reconcile {}, line {}: {step}", self.file, statement.line()))
    }

    async fn ask(
        &self,
        statement: &Statement,
        step: &str,
        command: impl Into<Command>,
    ) -> Result<Mended, holdfast_client::Error> {
        let reference = self.name.chars().take(60).collect();
        let cause = Cause { actor: self.verb.actor.clone(), reason: "reconciliation".to_owned(), reference };
        let key = CommandKey::Own(self.key(statement, step));
        let options = ExecuteOptions { key, deadline: Some(self.verb.cluster.deadline()), cause: Some(cause) };
        match self.client.execute_with(command.into(), options).await {
            Ok(done) if done.replayed => Ok(Mended::Before),
            Ok(_) => Ok(Mended::Now),
            // The row was seen to before, when the books were otherwise: not twice.
            Err(error) if error.reason() == ErrorReason::ExistsWithDifferent => Ok(Mended::SeenToBefore),
            Err(error) => Err(error),
        }
    }
}

/// Whether an error says something of the row rather than of the cluster.
fn is_of_the_row(error: &holdfast_client::Error) -> bool {
    const OF_THE_CLUSTER: u8 = 6;
    error.reason().faces().exit < OF_THE_CLUSTER
}

fn proposal(mending: &Mending) -> String {
    match mending {
        Mending::Correct(delta) if *delta > 0 => format!("find {delta}"),
        Mending::Correct(delta) => format!("write off {}", delta.unsigned_abs()),
        Mending::Commit(reservation) => format!("commit {}", ReservationId(*reservation)),
        Mending::Sell(units) => format!("sell {units}"),
        Mending::Ship(reservation, line, units) => {
            format!("ship {units} of line {line} of {}", ReservationId(*reservation))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_has_its_unit_and_its_bounds() {
        assert_eq!(pause("30s"), Ok(Duration::from_secs(30)));
        assert_eq!((pause("500ms"), pause("5m")), (Ok(Duration::from_millis(500)), Ok(Duration::from_secs(300))));
        for bad in ["30", "0s", "-1s", "2d", "99999999999999999999s", "25000m"] {
            assert!(pause(bad).is_err(), "{bad}");
        }
    }
}
