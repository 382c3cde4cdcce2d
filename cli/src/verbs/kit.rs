//! `holdfast kit`.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use serde::Serialize;

use super::lines::SkuUnits;
use crate::ask::Asking;
use crate::connect::Reading;
use crate::failure::Failure;
use crate::output::{Answer, Format};

/// The longest file of components that is read, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1_024;

/// SKUs that are sold as their components.
#[derive(Debug, Subcommand)]
pub enum Kit {
    /// Show a kit, what one of it becomes, and how many could be held where.
    Get(Get),
    /// Create a kit, or replace its name and recipe.
    Put(Put),
    /// Show the kits, in the order of their SKUs within each shard.
    List(List),
}

/// Show a kit, what one of it becomes, and how many could be held where.
#[derive(Debug, Args)]
pub struct Get {
    sku: String,
    /// Only there; wherever a component is if not given.
    #[arg(long, default_value = "", hide_default_value = true)]
    location: String,
    #[command(flatten)]
    reading: Reading,
}

/// Create a kit, or replace its name and recipe.
#[derive(Debug, Args)]
pub struct Put {
    sku: String,
    /// What one kit takes: SKU, or SKU=UNITS; repeatable, up to 32. A component may be a kit itself.
    #[arg(long = "component", value_name = "SKU[=UNITS]", required_unless_present = "file")]
    components: Vec<SkuUnits>,
    /// A file with a component a line, written as above; `-` is stdin. Empty lines, and those that begin with #, are left out.
    #[arg(long, value_name = "FILE", conflicts_with = "components")]
    file: Option<PathBuf>,
    /// Its name.
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// Kits may be promised of which components are not there, where those may be; shipped they are whole.
    #[arg(long)]
    backorder: bool,
    /// Only if its revision is still this.
    #[arg(long, value_name = "REVISION", default_value_t = 0, hide_default_value = true)]
    if_revision: u64,
    /// Only if there is none yet.
    #[arg(long)]
    if_absent: bool,
    #[command(flatten)]
    asking: Asking,
}

/// Show the kits, in the order of their SKUs within each shard.
#[derive(Debug, Args)]
pub struct List {
    /// Only those of this shard.
    #[arg(long)]
    shard: Option<u32>,
    /// At most so many, of the first 100 000 items and kits.
    #[arg(long, default_value_t = 1_000, value_name = "COUNT")]
    limit: usize,
    #[command(flatten)]
    reading: Reading,
}

#[derive(Serialize)]
struct ComponentRow {
    sku: String,
    units: u32,
}

#[derive(Serialize)]
struct AvailabilityRow {
    location: String,
    available: u64,
}

#[derive(Serialize)]
struct KitAnswer {
    sku: String,
    name: String,
    kit_revision: u64,
    backorder: bool,
    components: Vec<ComponentRow>,
    /// What one of it becomes, kits within it taken apart.
    flattened: Vec<ComponentRow>,
    availability: Vec<AvailabilityRow>,
    /// Why it cannot be taken apart.
    problem: Option<String>,
}

#[derive(Serialize)]
struct KitRow {
    sku: String,
    name: String,
    kit_revision: u64,
}

/// How many items and kits a list looks at.
const LOOKED_AT: usize = 100_000;

impl Kit {
    /// Shows or changes it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Get(get) => get.run(format).await,
            Self::Put(put) => put.run(format).await,
            Self::List(List { shard, limit, reading }) => {
                let items = reading.items(shard, LOOKED_AT).await?.into_iter().filter(|item| item.kit).take(limit);
                let row = |it: v1::Item| KitRow { sku: it.sku, name: it.name, kit_revision: it.revision };
                let kits: Vec<KitRow> = items.map(row).collect();
                let rows = kits.iter().map(|kit| [kit.sku.clone(), kit.name.clone(), kit.kit_revision.to_string()]);
                Answer::rows(&kits, ["sku", "name", "kit revision"], rows).print(format);
                Ok(())
            }
        }
    }
}

impl Put {
    async fn run(self, format: Format) -> Result<(), Failure> {
        let components = match &self.file {
            Some(file) => components_in(file)?,
            None => self.components,
        };
        let component = |it: SkuUnits| v1::KitComponent { sku: it.sku, units: it.units };
        let kit = v1::Kit {
            sku: self.sku,
            name: self.name,
            components: components.into_iter().map(component).collect(),
            revision: 0,
            backorder: self.backorder,
        };
        let put = v1::PutKit { kit: Some(kit), if_revision: self.if_revision, if_absent: self.if_absent };
        self.asking.ask(Operation::PutKit(put), format).await
    }
}

fn components_in(file: &Path) -> Result<Vec<SkuUnits>, Failure> {
    let of_file = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", file.display()));
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(MAX_FILE_BYTES + 1).read_to_string(&mut text)
    } else {
        let opened = std::fs::File::open(file).map_err(|error| of_file(&error))?;
        opened.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)
    };
    let bytes = read.map_err(|error| of_file(&error))?;
    if bytes as u64 > MAX_FILE_BYTES {
        return Err(of_file(&format!("it is longer than {MAX_FILE_BYTES} bytes")));
    }
    parse_components(&text).map_err(|why| of_file(&why))
}

fn parse_components(text: &str) -> Result<Vec<SkuUnits>, String> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    let said = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    said.map(|(at, line)| line.parse().map_err(|why: String| format!("line {at}: {why}"))).collect()
}

impl Get {
    async fn run(self, format: Format) -> Result<(), Failure> {
        let found = self.reading.kit(&self.sku, &self.location).await?;
        let kit = found.kit.unwrap_or_default();
        let components = |list: Vec<v1::KitComponent>| -> Vec<ComponentRow> {
            list.into_iter().map(|it| ComponentRow { sku: it.sku, units: it.units }).collect()
        };
        let at = |it: v1::KitAvailability| AvailabilityRow { location: it.location_id, available: it.available };
        let answer = KitAnswer {
            sku: kit.sku,
            name: kit.name,
            kit_revision: kit.revision,
            backorder: kit.backorder,
            components: components(kit.components),
            flattened: components(found.flattened),
            availability: found.availability.into_iter().map(at).collect(),
            problem: found.problem.map(|problem| format!("{}: {}", problem.reason().name(), problem.message)),
        };
        Answer::record(&answer).print(format);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_component_a_line() {
        let text = "# the set\nROUGE=2\n\n  MASCARA\n";
        let row = |sku: &str, units| SkuUnits { sku: sku.to_owned(), units };
        assert_eq!(parse_components(text), Ok(vec![row("ROUGE", 2), row("MASCARA", 1)]));
        assert!(parse_components("ROUGE=2\n=3").unwrap_err().starts_with("line 2: "));
    }
}
