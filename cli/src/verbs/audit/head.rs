//! `holdfast audit head`.

use clap::Args;

use super::files::{HeadFile, HeadText};
use crate::connect::Reading;
use crate::failure::Failure;
use crate::output::{Answer, Format};

/// Print the signed heads of the shards' histories (with -o json into a file), to be kept outside of the cluster: what is in them
/// cannot be changed later without notice.
#[derive(Debug, Args)]
pub struct Head {
    /// Only of this shard.
    #[arg(long)]
    shard: Option<u32>,
    #[command(flatten)]
    reading: Reading,
}

impl Head {
    /// Prints them.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let heads: Vec<HeadText> = self.reading.tree_heads(self.shard).await?.into_iter().map(HeadText::from).collect();
        let rows: Vec<_> = heads
            .iter()
            .map(|head| [head.shard.to_string(), head.size.to_string(), head.root.clone(), head.public_key.clone()])
            .collect();
        Answer::rows(&HeadFile { heads }, ["shard", "events", "root", "key"], rows).print(format);
        Ok(())
    }
}
