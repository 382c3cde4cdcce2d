//! `holdfast channel`.

use clap::{Args, Subcommand};
use holdfast_proto::v1;
use serde::Serialize;

use crate::connect::ClusterFlags;
use crate::failure::Failure;
use crate::output::{Answer, Format};

/// Through what is sold: from which locations, and what is kept back there.
#[derive(Debug, Subcommand)]
pub enum Channel {
    /// Create a channel, or replace what is said of it.
    Put(Put),
    /// Show a channel.
    Get(Get),
    /// Show the channels.
    List(List),
}

/// Create a channel, or replace what is said of it.
#[derive(Debug, Args)]
pub struct Put {
    /// Its id.
    #[arg(value_name = "CHANNEL")]
    id: String,
    /// Its locations, the first one first; up to 64.
    #[arg(long, required = true, value_delimiter = ',', value_name = "LOCATION,…")]
    locations: Vec<String>,
    /// Units of each SKU at each of the locations that are not sold through it.
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "UNITS")]
    buffer: u32,
    /// Nothing is sold through it.
    #[arg(long)]
    inactive: bool,
    #[command(flatten)]
    cluster: ClusterFlags,
}

/// Show a channel.
#[derive(Debug, Args)]
pub struct Get {
    /// Its id.
    #[arg(value_name = "CHANNEL")]
    id: String,
    #[command(flatten)]
    cluster: ClusterFlags,
}

/// Show the channels.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    cluster: ClusterFlags,
}

#[derive(Serialize)]
struct ChannelRow {
    channel: String,
    locations: Vec<String>,
    buffer: u32,
    active: bool,
    revision: u64,
}

impl Channel {
    /// Shows or changes it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Put(put) => {
                let channel = v1::Channel {
                    channel_id: put.id,
                    location_ids: put.locations,
                    buffer: put.buffer,
                    inactive: put.inactive,
                    revision: 0,
                };
                let stored = put.cluster.put_channel(channel).await?;
                Answer::record(&ChannelRow::from(stored)).print(format);
                Ok(())
            }
            Self::Get(Get { id, cluster }) => {
                let found = cluster.channels(Some(&id)).await?.into_iter().next().unwrap_or_default();
                Answer::record(&ChannelRow::from(found)).print(format);
                Ok(())
            }
            Self::List(List { cluster }) => {
                let rows: Vec<ChannelRow> = cluster.channels(None).await?.into_iter().map(ChannelRow::from).collect();
                let row = |row: &ChannelRow| {
                    [
                        row.channel.clone(),
                        row.locations.join(", "),
                        row.buffer.to_string(),
                        if row.active { "active" } else { "inactive" }.to_owned(),
                        row.revision.to_string(),
                    ]
                };
                let shown: Vec<_> = rows.iter().map(row).collect();
                Answer::rows(&rows, ["channel", "locations", "buffer", "state", "revision"], shown).print(format);
                Ok(())
            }
        }
    }
}

impl From<v1::Channel> for ChannelRow {
    fn from(channel: v1::Channel) -> Self {
        Self {
            channel: channel.channel_id,
            locations: channel.location_ids,
            buffer: channel.buffer,
            active: !channel.inactive,
            revision: channel.revision,
        }
    }
}
