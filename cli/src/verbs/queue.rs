//! `holdfast queue`.

use std::time::Duration;

use clap::{Args, Subcommand};
use holdfast_client::{Client, Room, Success};
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use holdfast_world::World;
use serde::Serialize;
use tokio::time::sleep;

use crate::ask::Asking;
use crate::connect::{ClusterFlags, Reading, failure_of};
use crate::dates;
use crate::event_rows::hex;
use crate::failure::Failure;
use crate::lottery::Drawn;
use crate::output::{self, Answer, Format};

/// The waiting room of a campaign: who is let in, and in which order.
#[derive(Debug, Subcommand)]
pub enum Queue {
    /// Give a customer a ticket. Who has one keeps it.
    Join(Join),
    /// Show a waiting room, or one customer's ticket.
    Status(Status),
    /// Hold the lottery of a campaign to a seed, before anybody joins.
    Commit(Commit),
    /// Tell the seed of a lottery, which gives its list an order.
    Draw(Draw),
    /// Let the next in, no more than what the campaign has left can still serve.
    Admit(Admit),
    /// Show the admission token of a customer who is let in.
    Token(Token),
    /// Compute a lottery's order anew, and compare it with who was let in. Exit 1 where it does not hold.
    Verify(Verify),
}

/// Give a customer a ticket. Who has one keeps it.
#[derive(Debug, Args)]
pub struct Join {
    campaign: String,
    /// Who, as the reserve will say it: opaque, hashed by the node, never stored as given.
    #[arg(long)]
    customer: String,
    #[command(flatten)]
    asking: Asking,
}

/// Show a waiting room, or one customer's ticket.
#[derive(Debug, Args)]
pub struct Status {
    campaign: String,
    /// Only this customer's ticket.
    #[arg(long, default_value = "", hide_default_value = true)]
    customer: String,
    /// All tickets too.
    #[arg(long, conflicts_with = "customer")]
    tickets: bool,
    #[command(flatten)]
    reading: Reading,
}

/// Hold the lottery of a campaign to a seed, before anybody joins.
#[derive(Debug, Args)]
pub struct Commit {
    campaign: String,
    /// The seed, 64 hexadecimal digits, which is not sent; a new one is made and shown if not given. Keep it secret until the draw.
    #[arg(long, value_name = "HEX", value_parser = seed)]
    seed: Option<[u8; 32]>,
    #[command(flatten)]
    asking: Asking,
}

/// Tell the seed of a lottery, which gives its list an order.
#[derive(Debug, Args)]
pub struct Draw {
    campaign: String,
    /// The seed that it was held to.
    #[arg(long, value_name = "HEX", value_parser = seed)]
    seed: [u8; 32],
    #[command(flatten)]
    asking: Asking,
}

/// Let the next in, no more than what the campaign has left can still serve.
#[derive(Debug, Args)]
pub struct Admit {
    campaign: String,
    /// How many at most.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=512))]
    most: u32,
    /// For how long, in seconds: then the place is free for the next.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    valid: u32,
    /// Do it again and again, after so many seconds each time, until the campaign is over: at the rate at which stock can still serve. A
    /// value a line says how many were let in, where any were.
    #[arg(long, value_name = "SECONDS", conflicts_with = "id", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    every: Option<u64>,
    /// End after so many times.
    #[arg(long, value_name = "COUNT", requires = "every", value_parser = clap::value_parser!(u64).range(1..))]
    times: Option<u64>,
    #[command(flatten)]
    asking: Asking,
}

/// Show the admission token of a customer who is let in.
#[derive(Debug, Args)]
pub struct Token {
    campaign: String,
    /// Who.
    #[arg(long)]
    customer: String,
    #[command(flatten)]
    cluster: ClusterFlags,
}

/// Compute a lottery's order anew, and compare it with who was let in.
#[derive(Debug, Args)]
pub struct Verify {
    campaign: String,
    #[command(flatten)]
    reading: Reading,
}

fn seed(text: &str) -> Result<[u8; 32], String> {
    let refused = || "64 hexadecimal digits are expected".to_owned();
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits: Vec<u8> = text.as_bytes().iter().map(digit).collect::<Option<_>>().ok_or_else(refused)?;
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    if digits.len() == 64 { bytes.try_into().map_err(|_| refused()) } else { Err(refused()) }
}

#[derive(Serialize)]
struct TicketRow {
    ticket: u32,
    customer_hash: String,
    state: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    admitted_until: String,
}

#[derive(Serialize)]
struct RoomRow {
    campaign: String,
    commitment: String,
    seed: String,
    tickets: u32,
    waiting: u32,
    admitted: u32,
    spent: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    list: Vec<TicketRow>,
}

#[derive(Serialize)]
struct CommitRow {
    campaign: String,
    commitment: String,
    /// Where it was made here.
    #[serde(skip_serializing_if = "String::is_empty")]
    seed: String,
}

#[derive(Serialize)]
struct DoneRow {
    campaign: String,
    #[serde(skip_serializing_if = "is_zero")]
    ticket: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    admitted: Option<u32>,
    id: String,
    replayed: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes it so
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[derive(Serialize)]
struct TokenRow {
    #[serde(flatten)]
    ticket: TicketRow,
    token: String,
}

#[derive(Serialize)]
struct VerifyRow {
    campaign: String,
    commitment: String,
    seed: String,
    tickets: usize,
    holds: bool,
    problems: Vec<String>,
    /// Who is let in, the first one first.
    order: Vec<TicketRow>,
}

impl Queue {
    /// Shows or changes it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Join(Join { campaign, customer, asking }) => {
                let join = v1::JoinQueue { campaign_id: campaign.clone(), customer };
                let (_, done) = asking.done(Operation::JoinQueue(join)).await?;
                told(campaign, &done, None).print(format);
                Ok(())
            }
            Self::Status(status) => status.run(format).await,
            Self::Commit(commit) => commit.run(format).await,
            Self::Draw(Draw { campaign, seed, asking }) => {
                let draw = v1::Draw { campaign_id: campaign.clone(), seed: seed.to_vec() };
                let (_, done) = asking.done(Operation::Draw(draw)).await?;
                told(campaign, &done, None).print(format);
                Ok(())
            }
            Self::Admit(admit) => admit.run(format).await,
            Self::Token(Token { campaign, customer, cluster }) => {
                let client = cluster.connect().await?;
                let reader = client.reader(holdfast_client::Consistency::Linearizable);
                let found = reader.admission(&campaign, &customer).await.map_err(failure_of)?;
                let Some(ticket) = found.ticket else {
                    return Err(Failure::check(format!("the customer has no ticket of {campaign}"))
                        .hint("`holdfast queue join CAMPAIGN --customer CUSTOMER` gives one"));
                };
                if found.token.is_empty() {
                    let ticket = TicketRow::from(&ticket);
                    let failure = format!("ticket {} is {}, and not let in now", ticket.ticket, ticket.state);
                    return Err(Failure::check(failure).hint("`holdfast queue admit CAMPAIGN` lets the next in"));
                }
                Answer::record(&TokenRow { ticket: TicketRow::from(&ticket), token: found.token }).print(format);
                Ok(())
            }
            Self::Verify(Verify { campaign, reading }) => verify(campaign, &reading, format).await,
        }
    }
}

impl Admit {
    async fn run(self, format: Format) -> Result<(), Failure> {
        let client = self.asking.connect().await?;
        let first = self.once(&client).await?;
        let Some(every) = self.every else {
            told(self.campaign, &first, Some(first.admitted)).print(format);
            return Ok(());
        };
        self.say(&first, format);
        for round in 1.. {
            if self.times.is_some_and(|times| round >= times) || self.is_over(&client).await {
                break;
            }
            sleep(Duration::from_secs(every)).await;
            match self.once(&client).await {
                Ok(done) => self.say(&done, format),
                // Whoever waits goes on to wait: a shard may have no leader for a moment.
                Err(failure) => output::say(&format!("nobody is let in this time: {failure}")),
            }
        }
        Ok(())
    }

    async fn once(&self, client: &Client) -> Result<Success, Failure> {
        let valid = Duration::from_secs(self.valid.into());
        let admit = client.admission(&self.campaign, self.most, valid).await.map_err(failure_of)?;
        let (_, done) = self.asking.done(admit.into_operation()).await?;
        Ok(done)
    }

    /// A campaign of which nothing can be learned is not over.
    async fn is_over(&self, client: &Client) -> bool {
        let found = client.campaigns(Some(&self.campaign)).await.unwrap_or_default();
        found.iter().any(|campaign| campaign.closed || campaign.ends_at_ms <= client.cluster_time_ms())
    }

    fn say(&self, done: &Success, format: Format) {
        if done.admitted == 0 {
            return;
        }
        let row = DoneRow::of(self.campaign.clone(), done, Some(done.admitted));
        match format {
            // A value a line, for whoever reads along.
            Format::Json => println!("{}", serde_json::to_string(&row).unwrap_or_default()),
            Format::Table => println!("{} let in", done.admitted),
        }
    }
}

impl Status {
    async fn run(self, format: Format) -> Result<(), Failure> {
        let room = if self.customer.is_empty() {
            self.reading.room(&self.campaign).await?
        } else {
            self.reading.ticket(&self.campaign, &self.customer).await?
        };
        let is_listed = self.tickets || !self.customer.is_empty();
        let list: Vec<TicketRow> = room.tickets.iter().filter(|_| is_listed).map(TicketRow::from).collect();
        let shown: Vec<[String; 4]> = list.iter().map(TicketRow::table).collect();
        let row = RoomRow::of(self.campaign, &room, list);
        if is_listed {
            Answer::rows(&row, ["ticket", "customer", "state", "until"], shown).print(format);
        } else {
            Answer::record(&row).print(format);
        }
        Ok(())
    }
}

impl Commit {
    async fn run(self, format: Format) -> Result<(), Failure> {
        let (seed, shown) = match self.seed {
            Some(seed) => (seed, String::new()),
            None => {
                let mut seed = [0; 32];
                World::real().entropy.fill(&mut seed);
                (seed, hex(&seed))
            }
        };
        let commitment = blake3::hash(&seed).as_bytes().to_vec();
        let row = CommitRow { campaign: self.campaign.clone(), commitment: hex(&commitment), seed: shown };
        let commit = v1::CommitDraw { campaign_id: self.campaign, commitment };
        self.asking.done(Operation::CommitDraw(commit)).await?;
        Answer::record(&row).print(format);
        Ok(())
    }
}

async fn verify(campaign: String, reading: &Reading, format: Format) -> Result<(), Failure> {
    let room = reading.room(&campaign).await?;
    let drawn = Drawn::of(&room);
    let row = VerifyRow {
        campaign,
        commitment: hex(&room.draw.commitment),
        seed: hex(&room.draw.seed),
        tickets: room.tickets.len(),
        holds: drawn.holds(),
        problems: drawn.problems.clone(),
        order: drawn.order.iter().map(TicketRow::from).collect(),
    };
    let shown: Vec<[String; 4]> = row.order.iter().map(TicketRow::table).collect();
    Answer::rows(&row, ["ticket", "customer", "state", "until"], shown).print(format);
    match drawn.problems.first() {
        None => Ok(()),
        Some(problem) => Err(Failure::check(format!("the lottery does not hold: {problem}"))),
    }
}

fn told(campaign: String, done: &Success, admitted: Option<u32>) -> Answer {
    Answer::record(&DoneRow::of(campaign, done, admitted))
}

impl DoneRow {
    fn of(campaign: String, done: &Success, admitted: Option<u32>) -> Self {
        let (id, replayed) = (done.command_id.to_string(), done.replayed);
        Self { campaign, ticket: done.ticket, admitted, id, replayed }
    }
}

impl RoomRow {
    fn of(campaign: String, room: &Room, list: Vec<TicketRow>) -> Self {
        Self {
            campaign,
            commitment: hex(&room.draw.commitment),
            seed: hex(&room.draw.seed),
            tickets: room.draw.tickets,
            waiting: room.waiting,
            admitted: room.admitted,
            spent: room.spent,
            list,
        }
    }
}

impl TicketRow {
    fn table(&self) -> [String; 4] {
        let Self { ticket, customer_hash, state, admitted_until } = self;
        [ticket.to_string(), customer_hash.clone(), (*state).to_owned(), admitted_until.clone()]
    }
}

impl From<&v1::Ticket> for TicketRow {
    fn from(ticket: &v1::Ticket) -> Self {
        let state = match ticket.state() {
            v1::TicketState::Unspecified => "unspecified",
            v1::TicketState::Waiting => "waiting",
            v1::TicketState::Admitted => "admitted",
            v1::TicketState::Spent => "spent",
        };
        let until = ticket.admitted_until_ms;
        Self {
            ticket: ticket.number,
            customer_hash: hex(&ticket.customer_hash),
            state,
            admitted_until: if until == 0 { String::new() } else { dates::instant_text(until) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_64_hexadecimal_digits() {
        assert_eq!(seed(&"0a".repeat(32)), Ok([10; 32]));
        for bad in ["", "0a", &"0a".repeat(33), &"zz".repeat(32), &"0".repeat(63), &"é".repeat(32)] {
            assert!(seed(bad).is_err(), "{bad}");
        }
    }
}
