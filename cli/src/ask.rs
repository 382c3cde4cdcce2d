//! One command asked from the command line, and its answer printed.

use clap::Args;
use holdfast_client::{Client, Command, CommandKey, ExecuteOptions, Success};
use holdfast_proto::v1::Cause;
use holdfast_proto::v1::command::Operation;
use serde::Serialize;

use crate::connect::{ClusterFlags, failure_of};
use crate::failure::Failure;
use crate::ids::{KeyText, state_name};
use crate::ledger::token_text;
use crate::output::{Answer, Format};

/// Flags of every command that changes something.
#[derive(Debug, Args)]
pub struct Asking {
    /// Decide it once under this id, a UUID or a text of your own: the same again gets the same answer.
    #[arg(long, value_name = "ID")]
    id: Option<KeyText>,
    /// Who does it, for the change log.
    #[arg(long, default_value = "", hide_default_value = true)]
    actor: String,
    /// Why, for the change log.
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// The URI of a document, for the change log.
    #[arg(long, value_name = "URI", default_value = "", hide_default_value = true)]
    reference: String,
    #[command(flatten)]
    cluster: ClusterFlags,
}

/// What is printed of a command that was done.
#[derive(Serialize)]
struct Done {
    #[serde(skip_serializing_if = "Option::is_none")]
    reservation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transfer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    state: &'static str,
    revision: u64,
    atp_after: u64,
    #[serde(skip_serializing_if = "is_zero")]
    expires_at_ms: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    held: Vec<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    backordered: Vec<u32>,
    id: String,
    /// It was decided before, under the same id.
    replayed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes it so
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Asking {
    /// Asks, and prints the answer.
    pub async fn ask(&self, operation: Operation, format: Format) -> Result<(), Failure> {
        let (_, done) = self.done(operation).await?;
        Answer::record(&Done::from(done)).print(format);
        Ok(())
    }

    /// Asks, and gives the answer, and the client that it came to.
    pub async fn done(&self, mut operation: Operation) -> Result<(Client, Success), Failure> {
        if let (Operation::Reserve(reserve), Some(key)) = (&mut operation, self.id)
            && let Some(first) = reserve.lines.first()
        {
            reserve.reservation_id = key.reservation_for(&first.sku).map(Into::into);
        }
        let client = self.connect().await?;
        let done = self.execute(&client, operation, self.id).await?;
        Ok((client, done))
    }

    /// Why it is done, as it is said.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// A client of the cluster.
    pub async fn connect(&self) -> Result<Client, Failure> {
        self.cluster.connect().await
    }

    /// Asks for each of several named things, one after the other, also where one of them fails; and gives the answers in order.
    pub async fn each(
        &self,
        operations: Vec<(String, Operation)>,
    ) -> Result<(Client, Vec<Result<Success, Failure>>), Failure> {
        let client = self.connect().await?;
        let is_one = operations.len() == 1;
        let mut answers = Vec::with_capacity(operations.len());
        for (name, operation) in operations {
            let id = if is_one { self.id } else { self.id.map(|id| id.of_part(&name)) };
            let done = self.execute(&client, operation, id).await;
            answers.push(done.map_err(|failure| if is_one { failure } else { failure.about(&name) }));
        }
        Ok((client, answers))
    }

    async fn execute(&self, client: &Client, operation: Operation, id: Option<KeyText>) -> Result<Success, Failure> {
        let has_cause = [&self.actor, &self.reason, &self.reference].iter().any(|text| !text.is_empty());
        let cause = has_cause.then(|| Cause {
            actor: self.actor.clone(),
            reason: self.reason.clone(),
            reference: self.reference.clone(),
        });
        let key = id.map_or(CommandKey::Minted, KeyText::key);
        let options = ExecuteOptions { key, deadline: Some(self.cluster.deadline()), cause };
        client.execute_with(Command::from(operation), options).await.map_err(failure_of)
    }
}

impl From<Success> for Done {
    fn from(success: Success) -> Self {
        Self {
            reservation: success.reservation_id.map(|id| id.to_string()),
            transfer: success.transfer_id.map(|id| id.to_string()),
            receipt: success.receipt_id.map(|id| id.to_string()),
            state: state_name(success.state),
            revision: success.revision,
            atp_after: success.atp_after,
            expires_at_ms: success.expires_at_ms,
            held: success.held,
            backordered: success.backordered,
            id: success.command_id.to_string(),
            replayed: success.replayed,
            token: success.token.as_ref().map(token_text),
        }
    }
}
