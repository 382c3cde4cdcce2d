//! `holdfast location`.

use clap::{Args, Subcommand, ValueEnum};
use holdfast_proto::v1;
use serde::Serialize;

use crate::connect::ClusterFlags;
use crate::failure::Failure;
use crate::output::{Answer, Format};

/// The places that hold stock.
#[derive(Debug, Subcommand)]
pub enum Location {
    /// Create a location, or replace its attributes.
    Put(Put),
    /// Show the locations.
    List(List),
}

/// Create a location, or replace its attributes.
#[derive(Debug, Args)]
pub struct Put {
    /// Its id.
    #[arg(value_name = "LOCATION")]
    id: String,
    /// Its name.
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// What it is.
    #[arg(long, value_enum, default_value = "warehouse")]
    kind: Kind,
    /// An IANA name; UTC if not given.
    #[arg(long, default_value = "", hide_default_value = true)]
    time_zone: String,
    /// Lower is asked first.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    priority: u32,
    /// Nothing is sold from it.
    #[arg(long)]
    inactive: bool,
    #[command(flatten)]
    cluster: ClusterFlags,
}

/// Show the locations.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    cluster: ClusterFlags,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Warehouse,
    Store,
    Virtual,
}

#[derive(Serialize)]
struct LocationRow {
    location: String,
    name: String,
    kind: &'static str,
    time_zone: String,
    priority: u32,
    active: bool,
    revision: u64,
}

impl Location {
    /// Shows or changes it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Put(put) => {
                let kind = match put.kind {
                    Kind::Warehouse => v1::LocationKind::Warehouse,
                    Kind::Store => v1::LocationKind::Store,
                    Kind::Virtual => v1::LocationKind::Virtual,
                };
                let location = v1::Location {
                    location_id: put.id,
                    name: put.name,
                    kind: kind.into(),
                    time_zone: put.time_zone,
                    priority: put.priority,
                    inactive: put.inactive,
                    revision: 0,
                };
                let stored = put.cluster.put_location(location).await?;
                Answer::record(&LocationRow::from(stored)).print(format);
                Ok(())
            }
            Self::List(List { cluster }) => {
                let rows: Vec<LocationRow> = cluster.locations().await?.into_iter().map(LocationRow::from).collect();
                let shown: Vec<_> = rows
                    .iter()
                    .map(|row| {
                        [
                            row.location.clone(),
                            row.name.clone(),
                            row.kind.to_owned(),
                            row.time_zone.clone(),
                            row.priority.to_string(),
                            if row.active { "active" } else { "inactive" }.to_owned(),
                            row.revision.to_string(),
                        ]
                    })
                    .collect();
                let header = ["location", "name", "kind", "time zone", "priority", "state", "revision"];
                Answer::rows(&rows, header, shown).print(format);
                Ok(())
            }
        }
    }
}

impl From<v1::Location> for LocationRow {
    fn from(location: v1::Location) -> Self {
        let kind = match location.kind() {
            v1::LocationKind::Unspecified | v1::LocationKind::Warehouse => "warehouse",
            v1::LocationKind::Store => "store",
            v1::LocationKind::Virtual => "virtual",
        };
        Self {
            kind,
            location: location.location_id,
            name: location.name,
            time_zone: if location.time_zone.is_empty() { "UTC".to_owned() } else { location.time_zone },
            priority: location.priority,
            active: !location.inactive,
            revision: location.revision,
        }
    }
}
