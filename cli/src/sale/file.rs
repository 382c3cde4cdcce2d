//! What a file says of a sale: TOML, or CSV where its name ends so.

use std::collections::BTreeMap;
use std::path::Path;

use holdfast_client::ids::CommandId;
use holdfast_client::v1::CampaignAdmission;
use serde::Deserialize;

use crate::dates;
use crate::failure::Failure;

/// The longest file.
const MAX_BYTES: u64 = 16 * 1_024 * 1_024;
/// Endpoints that a sale names.
const MAX_ENDPOINTS: usize = 64;
/// Lines of a sale.
const MAX_LINES: usize = 10_000;
pub(super) const MAX_UNITS: u32 = 2_000_000_000;

/// A sale as it is planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sale {
    /// Of its campaign.
    pub id: String,
    /// In milliseconds since the Unix epoch.
    pub starts_at_ms: u64,
    pub ends_at_ms: u64,
    pub admission: Admission,
    /// What its orders will call, which is looked at before the sale.
    pub endpoints: Vec<String>,
    /// By SKU and location, each once.
    pub lines: Vec<SaleLine>,
}

/// Who is let in to buy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Admission {
    /// Everybody.
    #[default]
    None,
    /// Those who came first.
    Queue,
    /// In an order that is drawn.
    Lottery,
}

impl Admission {
    /// As the campaign has it.
    pub const fn wire(self) -> CampaignAdmission {
        match self {
            Self::None => CampaignAdmission::None,
            Self::Queue => CampaignAdmission::Queue,
            Self::Lottery => CampaignAdmission::Lottery,
        }
    }
}

/// Units of one SKU at one location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaleLine {
    pub sku: String,
    /// Empty: the cluster's default location.
    pub location: String,
    pub units: u32,
    /// How many one customer may have of the SKU, wherever it lies.
    pub per_customer: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlFile {
    sale: TomlSale,
    #[serde(default)]
    line: Vec<TomlLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlSale {
    #[serde(default)]
    id: String,
    starts_at: String,
    ends_at: String,
    #[serde(default)]
    admission: Admission,
    #[serde(default)]
    endpoints: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlLine {
    sku: String,
    #[serde(default)]
    location: String,
    units: u32,
    per_customer: Option<u32>,
}

/// A row says everything, the sale itself as the others do.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CsvRow {
    #[serde(default)]
    sale: String,
    starts_at: String,
    ends_at: String,
    sku: String,
    #[serde(default)]
    location: String,
    units: u32,
    per_customer: Option<u32>,
    admission: Option<Admission>,
}

impl Sale {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or says what makes no sale; the error names the field and the way out.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let about = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", path.display()));
        let bytes = std::fs::metadata(path).map_err(|error| about(&error))?.len();
        if bytes > MAX_BYTES {
            return Err(about(&format!("has {bytes} bytes")).hint(format!("a sale has at most {MAX_BYTES}")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| about(&error))?;
        let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        Self::parse(&text, is_csv).map_err(|failure| failure.about(path.display()))
    }

    fn parse(text: &str, is_csv: bool) -> Result<Self, Failure> {
        let Said { id, starts_at, ends_at, admission, endpoints, lines } =
            if is_csv { from_csv(text)? } else { from_toml(text)? };
        let instant = |field: &str, text: &str| {
            dates::instant(text).map_err(|problem| Failure::usage(format!("{field}: {problem}")))
        };
        let (starts_at_ms, ends_at_ms) = (instant("starts_at", &starts_at)?, instant("ends_at", &ends_at)?);
        if ends_at_ms <= starts_at_ms {
            return Err(Failure::usage("ends_at is not after starts_at"));
        }
        if endpoints.len() > MAX_ENDPOINTS {
            let failure = Failure::usage(format!("endpoints names {}", endpoints.len()));
            return Err(failure.hint(format!("a sale names at most {MAX_ENDPOINTS}")));
        }
        let lines = check(lines)?;
        let mut sale = Self { id, starts_at_ms, ends_at_ms, admission, endpoints, lines };
        if sale.id.is_empty() {
            sale.id = format!("sale-{}", CommandId::of_key(&sale.content()));
        }
        Ok(sale)
    }

    /// What it says of what is sold, in one order: files that say the same are the same.
    fn content(&self) -> String {
        let line = |line: &SaleLine| {
            let SaleLine { sku, location, units, per_customer } = line;
            format!("\n{sku:?} {location:?} {units} {per_customer:?}")
        };
        let lines: String = self.lines.iter().map(line).collect();
        let admission = match self.admission {
            Admission::None => "",
            Admission::Queue => " queue",
            Admission::Lottery => " lottery",
        };
        format!("{:?} {} {}{admission}{lines}", self.id, self.starts_at_ms, self.ends_at_ms)
    }
}

/// A sale before it is checked.
struct Said {
    id: String,
    starts_at: String,
    ends_at: String,
    admission: Admission,
    endpoints: Vec<String>,
    lines: Vec<SaleLine>,
}

fn from_toml(text: &str) -> Result<Said, Failure> {
    let hint = "[sale] with starts_at, ends_at (and an id, admission, endpoints); then a [[line]] for each sku, with units (and location, per_customer)";
    let file: TomlFile = toml::from_str(text).map_err(|error| Failure::usage(error.to_string()).hint(hint))?;
    let line = |TomlLine { sku, location, units, per_customer }| SaleLine { sku, location, units, per_customer };
    let TomlSale { id, starts_at, ends_at, admission, endpoints } = file.sale;
    let lines = file.line.into_iter().map(line).collect();
    Ok(Said { id, starts_at, ends_at, admission, endpoints, lines })
}

fn from_csv(text: &str) -> Result<Said, Failure> {
    let hint =
        "the columns are sku, units, starts_at, ends_at, and, if wanted, location, per_customer, sale, admission";
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let mut said: Option<Said> = None;
    for row in reader.deserialize() {
        let CsvRow { sale, starts_at, ends_at, sku, location, units, per_customer, admission } =
            row.map_err(|error: csv::Error| Failure::usage(error.to_string()).hint(hint))?;
        let line = SaleLine { sku, location, units, per_customer };
        let admission = admission.unwrap_or_default();
        let all = said.get_or_insert_with(|| Said {
            id: sale.clone(),
            starts_at: starts_at.clone(),
            ends_at: ends_at.clone(),
            admission,
            endpoints: Vec::new(),
            lines: Vec::new(),
        });
        if (&all.id, &all.starts_at, &all.ends_at, all.admission) != (&sale, &starts_at, &ends_at, admission) {
            let failure = Failure::usage(format!("the row of {} is of another sale, or of another time", line.sku));
            return Err(failure.hint("a file is one sale: the same sale, starts_at, ends_at and admission in each row"));
        }
        all.lines.push(line);
    }
    said.ok_or_else(|| Failure::usage("it has no rows").hint(hint))
}

fn check(mut lines: Vec<SaleLine>) -> Result<Vec<SaleLine>, Failure> {
    if lines.is_empty() || lines.len() > MAX_LINES {
        let failure = Failure::usage(format!("it has {} lines", lines.len()));
        return Err(failure.hint(format!("a sale has 1 to {MAX_LINES}")));
    }
    lines.sort_by(|a, b| (&a.sku, &a.location).cmp(&(&b.sku, &b.location)));
    let mut per_customer = BTreeMap::new();
    for (number, line) in lines.iter().enumerate() {
        let SaleLine { sku, location, units, per_customer: limit } = line;
        let refused = |what: &str, hint: &str| Err(Failure::usage(format!("{sku}: {what}")).hint(hint.to_owned()));
        if sku.is_empty() {
            return Err(Failure::usage("a line has no sku"));
        }
        if *units == 0 || *units > MAX_UNITS {
            return refused("units is out of range", "1 to 2 000 000 000");
        }
        if *limit == Some(0) {
            return refused("per_customer is 0", "leave it out where there is no limit");
        }
        if lines.get(number + 1).is_some_and(|next| (&next.sku, &next.location) == (sku, location)) {
            return refused("is there twice at one location", "add its units up in one line");
        }
        if *per_customer.entry(sku.as_str()).or_insert(*limit) != *limit {
            return refused("per_customer is not the same in each line", "a limit is of the SKU, wherever it lies");
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: &str = "[sale]\nstarts_at = \"2027-05-31T09:00:00Z\"\nends_at = \"2027-05-31T12:00:00Z\"\n";

    fn toml(lines: &str) -> Result<Sale, String> {
        Sale::parse(&format!("{WINDOW}{lines}"), false).map_err(|failure| failure.to_string())
    }

    #[test]
    fn files_that_say_the_same_are_the_same_sale_in_whatever_order_and_form() {
        let one =
            toml("[[line]]\nsku = \"B\"\nunits = 2\n[[line]]\nsku = \"A\"\nunits = 9\nper_customer = 1\n").unwrap();
        let csv = "sku,units,per_customer,starts_at,ends_at\nA,9,1,2027-05-31T09:00:00Z,2027-05-31T12:00:00Z\nB,2,,2027-05-31T09:00:00Z,2027-05-31T12:00:00Z\n";
        assert_eq!(Sale::parse(csv, true).unwrap(), one);
        assert!(one.id.starts_with("sale-") && one.id.len() <= 64);
        let other =
            toml("[[line]]\nsku = \"B\"\nunits = 3\n[[line]]\nsku = \"A\"\nunits = 9\nper_customer = 1\n").unwrap();
        assert_ne!(other.id, one.id);
    }

    #[test]
    fn who_is_let_in_is_everybody_unless_the_file_says_otherwise() {
        let line = "[[line]]\nsku = \"A\"\nunits = 1\n";
        let of = |admission: &str| Sale::parse(&format!("{WINDOW}{admission}{line}"), false);
        assert_eq!(of("").unwrap(), of("admission = \"none\"\n").unwrap());
        let (queue, lottery) = (of("admission = \"queue\"\n").unwrap(), of("admission = \"lottery\"\n").unwrap());
        assert_eq!((queue.admission, lottery.admission), (Admission::Queue, Admission::Lottery));
        assert_ne!(queue.id, lottery.id);
        assert!(of("admission = \"raffle\"\n").unwrap_err().to_string().contains("raffle"));
        let csv = "sku,units,starts_at,ends_at,admission\nA,1,2027-05-31T09:00:00Z,2027-05-31T12:00:00Z,queue\n";
        assert_eq!(Sale::parse(csv, true).unwrap(), queue);
    }

    #[test]
    fn what_makes_no_sale_is_refused_and_named() {
        let refused = |lines: &str| toml(lines).unwrap_err();
        assert!(refused("").contains("0 lines"));
        assert!(refused("[[line]]\nsku = \"A\"\nunits = 0\n").contains("A: units is out of range"));
        assert!(refused("[[line]]\nsku = \"A\"\nunits = 1\nper_customer = 0\n").contains("per_customer is 0"));
        let twice = "[[line]]\nsku = \"A\"\nunits = 1\n".repeat(2);
        assert!(refused(&twice).contains("twice at one location"));
        let two_limits = "[[line]]\nsku = \"A\"\nunits = 1\nper_customer = 1\n[[line]]\nsku = \"A\"\nlocation = \"PAR\"\nunits = 1\n";
        assert!(refused(two_limits).contains("not the same in each line"));
        assert!(refused("[[line]]\nsku = \"A\"\nunits = 1\nprice = 3\n").contains("price"));
        let backwards = WINDOW.replace("2027-05-31T12", "2027-05-31T08");
        let text = format!("{backwards}[[line]]\nsku = \"A\"\nunits = 1\n");
        assert!(Sale::parse(&text, false).unwrap_err().to_string().contains("ends_at is not after"));
    }
}
