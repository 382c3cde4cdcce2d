//! `holdfast audit check`.

use std::path::PathBuf;

use clap::Args;
use holdfast_node::heads::{self, CheckError};
use serde::Serialize;

use super::files::{self, HeadFile, ProofFile};
use crate::event_rows::EventRow;
use crate::failure::Failure;
use crate::output::{Answer, Format};

/// Check a proof against a head that was kept, without any cluster; exit 1 if it does not hold.
#[derive(Debug, Args)]
pub struct Check {
    /// What `holdfast audit prove -o json` printed.
    proof: PathBuf,
    /// What `holdfast audit head -o json` printed, kept since.
    #[arg(long, value_name = "FILE")]
    head: PathBuf,
    /// The cluster's public key, if it is known from elsewhere: the head must be signed with it.
    #[arg(long, value_name = "HEX")]
    key: Option<String>,
}

#[derive(Serialize)]
struct CheckAnswer {
    holds: bool,
    event: EventRow,
}

impl Check {
    /// Checks it.
    pub fn run(self, format: Format) -> Result<(), Failure> {
        let proof: ProofFile = files::read(&self.proof, "prove")?;
        let head = files::read::<HeadFile>(&self.head, "head")?.of_shard(proof.shard)?;
        if let Some(key) = self.key
            && files::bytes("--key", &key)? != head.public_key
        {
            return Err(Failure::check("the head is signed with another key"));
        }
        let encoded = files::bytes("event", &proof.event)?;
        let path = proof.path.iter().map(|hash| files::bytes("path", hash)).collect::<Result<Vec<_>, _>>()?;
        let event = heads::check_proof((proof.shard, proof.size), &encoded, &path, &head).map_err(|error| {
            let failure = Failure::check(format!("the proof does not hold: {error}"));
            match error {
                CheckError::OtherTree { .. } => {
                    failure.hint("make the proof for that head: holdfast audit prove ID --head FILE")
                }
                _ => failure,
            }
        })?;
        let answer = CheckAnswer { holds: true, event: EventRow::from(event) };
        let row = answer.event.table();
        Answer::rows(&answer, EventRow::HEADER, [row]).print(format);
        Ok(())
    }
}
