//! What can go wrong in a command: what happened, what to do, and the exit code.
//!
//! 0 is done, 1 a failed check, 2 wrong usage; the rest is the table of errors by reason.

use std::collections::BTreeMap;
use std::fmt;

use holdfast_proto::v1::{CommandError, Effect, ErrorReason};

/// A check failed: the program worked, the answer is no.
pub const EXIT_CHECK_FAILED: u8 = 1;
/// The command line or a file given in it is wrong.
pub const EXIT_USAGE: u8 = 2;

/// Why a command ends without having done its work. Boxed inside, so that results stay small.
#[derive(Debug)]
pub struct Failure(Box<Inner>);

#[derive(Debug)]
struct Inner {
    message: String,
    hint: Option<String>,
    exit: u8,
    reason: Option<ErrorReason>,
}

impl Failure {
    fn new(message: String, exit: u8, reason: Option<ErrorReason>) -> Self {
        Self(Box::new(Inner { message, hint: None, exit, reason }))
    }

    /// The caller gave something wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(message.into(), EXIT_USAGE, None)
    }

    /// A check failed.
    pub fn check(message: impl Into<String>) -> Self {
        Self::new(message.into(), EXIT_CHECK_FAILED, None)
    }

    /// The cluster, or a part of it, cannot serve now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(message.into(), ErrorReason::Unavailable.faces().exit, None)
    }

    /// What was named is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(message.into(), ErrorReason::ReservationNotFound.faces().exit, None)
    }

    /// The same with what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The same, about a named thing.
    #[must_use]
    pub fn about(mut self, thing: impl fmt::Display) -> Self {
        self.0.message = format!("{thing}: {}", self.0.message);
        self
    }

    /// The same with a command to type next, where its hint names none: `verbs` are those of the command line.
    #[must_use]
    pub fn with_next_command(&self, verbs: &[String]) -> String {
        let names_one = |hint: &String| hint.contains("`holdfast ") || hint.contains("`cargo ");
        match &self.0.hint {
            Some(hint) if names_one(hint) => self.to_string(),
            Some(_) => format!("{self}; {}", self.next_command(verbs)),
            None => format!("{self}\nhint: {}", self.next_command(verbs)),
        }
    }

    /// What to type next, by what is known of the failure: its reason before all, for each has a page.
    fn next_command(&self, verbs: &[String]) -> String {
        match (self.0.exit, self.0.reason) {
            (_, Some(reason)) if ![ErrorReason::Unspecified, ErrorReason::InvalidArgument].contains(&reason) => {
                format!("`holdfast errors explain {}` says what to do", reason.name())
            }
            (EXIT_USAGE, _) => format!("`holdfast {} --help` shows what it takes", verbs.join(" ")),
            (exit, None) if exit == ErrorReason::ReservationNotFound.faces().exit => {
                let verb = verbs.first().map_or("", String::as_str);
                format!("`holdfast {verb} --help` shows how to list what there is")
            }
            _ => "`holdfast doctor` looks for what is wrong with the cluster".to_owned(),
        }
    }

    /// What happened, without the hint.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The exit code of the process.
    pub const fn exit(&self) -> u8 {
        self.0.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.0.message)?;
        if let Some(reason) = self.0.reason {
            write!(f, " [{}]", reason.name())?;
        }
        if let Some(hint) = &self.0.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        Self::told(error.reason(), &error.message, &error.field, &error.metadata)
    }
}

impl Failure {
    /// What the client library says of a command or a read that was not done.
    pub fn from_client(told: &holdfast_client::Failure) -> Self {
        let failure = Self::told(told.reason, &told.message, &told.field, &told.metadata);
        match told.command_id {
            Some(id) if told.effect == Effect::Unknown => {
                failure.hint(format!("it may have happened: ask again with `--id {id}`, which does it at most once"))
            }
            _ => failure,
        }
    }

    fn told(reason: ErrorReason, message: &str, field: &str, metadata: &BTreeMap<String, String>) -> Self {
        let mut message = message.to_owned();
        if reason == ErrorReason::InvalidArgument && !field.is_empty() && !message.contains(field) {
            message = format!("{field}: {message}");
        }
        // Whether the refusal stands in the log decides about a retry, which the client library has done.
        let is_news = |key: &str, value: &str| key != "recorded" && !message.contains(value);
        let news = metadata.iter().filter(|(key, value)| is_news(key, value));
        let known: Vec<String> = news.map(|(key, value)| format!("{key} {value}")).collect();
        if !known.is_empty() {
            message = format!("{message} ({})", known.join(", "));
        }
        let failure = Self::new(message, reason.faces().exit, Some(reason));
        match hint_for(reason) {
            "" => failure,
            hint => failure.hint(hint),
        }
    }
}

/// What to do about a reason; empty where the message says it.
const fn hint_for(reason: ErrorReason) -> &'static str {
    use ErrorReason as Reason;
    match reason {
        Reason::UnknownSku => "`holdfast item put SKU` makes an item",
        Reason::UnknownLocation => "`holdfast location list` shows the locations, `location put` makes one",
        Reason::UnknownChannel => "`holdfast channel list` shows the channels, `channel put` makes one",
        Reason::UnknownCampaign => "`holdfast campaign list` shows the campaigns, `campaign open` makes one",
        Reason::SaleNotStarted | Reason::SaleEnded => "`holdfast campaign get CAMPAIGN` shows when it sells",
        Reason::AllocationExhausted => "`holdfast campaign get CAMPAIGN` shows what it has left",
        Reason::AdmissionTokenInvalid => {
            "`holdfast queue token CAMPAIGN --customer CUSTOMER` shows the token of a customer who is let in"
        }
        Reason::QueueClosed => "`holdfast queue status CAMPAIGN` shows how far it is",
        Reason::DrawNotCommitted => "`holdfast queue commit CAMPAIGN` holds it to a seed, which opens its list",
        Reason::DrawSeedMismatch => "draw with the seed that `holdfast queue commit` showed",
        Reason::AllocationExceedsAvailable => "`holdfast stock get SKU` shows what may be promised",
        Reason::InsufficientStock => "`holdfast stock get SKU` shows what is free",
        Reason::RevisionMismatch => {
            "read the present revision with `holdfast stock get SKU`, of an item with `item get SKU`, and ask again"
        }
        Reason::Exists => "leave the id out, and a new one is made",
        Reason::ExtendLimitReached => "commit it, or release it and reserve anew",
        Reason::ReservationExpired => "reserve anew, or commit with `--retake`",
        Reason::ExistsWithDifferent => "this id was used for something else: leave `--id` out, or take a new one",
        Reason::OutcomeUnknown => "it may have happened: ask again with the same `--id`, or read the reservation",
        Reason::IdTooOld => "it may have happened long ago: read the reservation or the stock",
        Reason::Overloaded => "ask again in a moment",
        Reason::NotLeader | Reason::StaleRoute | Reason::Unavailable => {
            "`holdfast cluster status` shows which nodes are up; `--addr` names them"
        }
        Reason::AlreadyCommitted
        | Reason::AlreadyReleased
        | Reason::AlreadyFulfilled
        | Reason::ExceedsHeldQuantity
        | Reason::ExceedsFulfilled => "`holdfast reservation get ID` shows its state and its lines",
        Reason::ReservationNotFound => "`holdfast reservation list` shows the reservations there are",
        Reason::TransferNotFound => "`holdfast transfer list` shows the transfers there are",
        Reason::ReceiptNotFound => "`holdfast receipt list` shows the expected receipts there are",
        Reason::ExceedsInTransit => "`holdfast transfer get ID` shows what is in transit of each line",
        Reason::OrderNotFound => "`holdfast order list` shows the orders there are",
        Reason::OrderOpen | Reason::OrderEnded | Reason::StepNotRunning => {
            "`holdfast order get RESERVATION` shows where its steps stand"
        }
        Reason::WrongCluster => "another cluster answers at the address: `--addr` names nodes of the one that is meant",
        Reason::UnknownEndpoint => "`holdfast endpoint list` shows the endpoints, `endpoint put` makes one",
        Reason::CountNotFound => "`holdfast count list` shows the counts there are",
        Reason::CountInProgress => "apply or cancel that count first: `holdfast count get ID` shows it",
        Reason::SkuIsKit => "`holdfast kit get SKU` shows what it is made of: stock the components",
        Reason::ComponentUnavailable => "`holdfast kit get SKU` shows how many could be held where",
        Reason::KitRevisionMismatch => "`holdfast kit get SKU` shows the recipe as it is now",
        Reason::LinesMoveTogether => "take the lines of whole kits: `holdfast reservation get ID` shows them",
        Reason::ShardHalted => {
            "`holdfast shard list` says what was found; `holdfast shard resume SHARD --reason …` lets it go on"
        }
        Reason::LinesSpanShards => {
            "reserve more, or anew, by another reservation; return the lines of one shard at a time"
        }
        Reason::BatchTooLarge => "send fewer at once: a request has at most 8192 commands and 1 MiB",
        Reason::ChainSpansShards => "link only what is about SKUs of one shard, or make one reservation of them",
        Reason::LinesElsewhere => "send the return by itself, not linked to others",
        Reason::BackorderCapExceeded => "`holdfast backorder list --sku SKU` shows who waits for it",
        Reason::QuantityOverflow => "look at the quantity: `holdfast stock get SKU` shows what the books have",
        Reason::ItemNotSellable => "`holdfast item put SKU --status active` puts it back on sale",
        Reason::HoldShort => "`holdfast reservation get ID` shows which lines lack their stock",
        Reason::NotReleased => "`holdfast item get SKU` shows when it may be shipped",
        Reason::LotRequired
        | Reason::LotExpired
        | Reason::LotBlocked
        | Reason::ShelfLifeTooShort
        | Reason::TooManyLots
        | Reason::UnknownLot => "`holdfast lot list SKU` shows its lots, their dates and their status",
        Reason::CustomerRequired => "say who buys with `--customer`",
        Reason::CustomerLimitExceeded => "`holdfast limit get SKU --customer CUSTOMER` shows what is left to them",
        Reason::OrderLimitExceeded => "ask for fewer: `holdfast item get SKU` shows how many one order may have",
        Reason::KitCycle => "`holdfast kit get SKU` shows a recipe, `kit put` changes it",
        Reason::KitTooLarge => "ask for fewer lines: `holdfast kit get SKU` shows what a kit becomes",
        Reason::IdFromFuture => "set this machine's clock right: `holdfast doctor` compares it with the cluster's",
        Reason::LinkedCommandFailed => "see the result of the command of its chain that failed",
        Reason::OrderUndecided | Reason::LimitNotAsked => "ask again with the same `--id`",
        Reason::StorageFull => "make room on the node's disk: `holdfast doctor` shows what is free",
        Reason::AlreadyEnded => "read it: `holdfast transfer get ID`, `receipt get ID` or `count get ID`",
        Reason::QueueFull => "`holdfast queue status CAMPAIGN` shows how many wait",
        // A node says in its message what it may be.
        Reason::InvalidArgument | Reason::Unspecified => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_shows_its_reason_its_figures_and_what_to_do_and_exits_by_the_table() {
        let error = CommandError::of(ErrorReason::InsufficientStock, "LIP-01 has not enough").with("available", 3);
        let failure = Failure::from(error);
        assert_eq!(failure.exit(), 5);
        assert_eq!(
            failure.to_string(),
            "error: LIP-01 has not enough (available 3) [INSUFFICIENT_STOCK]\nhint: `holdfast stock get SKU` shows what is free"
        );
    }

    #[test]
    fn what_only_a_retry_needs_to_know_is_not_shown() {
        let error = CommandError::of(ErrorReason::InsufficientStock, "not enough").with("recorded", true);
        assert!(Failure::from(error).to_string().starts_with("error: not enough [INSUFFICIENT_STOCK]"));
    }

    #[test]
    fn a_refusal_for_a_reservations_state_says_how_to_see_it() {
        for reason in [
            ErrorReason::AlreadyCommitted,
            ErrorReason::AlreadyReleased,
            ErrorReason::AlreadyFulfilled,
            ErrorReason::ExceedsHeldQuantity,
            ErrorReason::ExceedsFulfilled,
            ErrorReason::ReservationNotFound,
        ] {
            let said = Failure::from(CommandError::of(reason, "no")).to_string();
            assert!(said.contains("hint: `holdfast reservation "), "{said}");
        }
    }

    #[test]
    fn every_failure_names_what_to_type_or_to_change_next() {
        let verbs = ["stock".to_owned(), "get".to_owned()];
        let reasons = crate::pages::every_reason().map(|reason| Failure::from(CommandError::of(reason, "no")));
        let others = [Failure::usage("x"), Failure::check("x"), Failure::unavailable("x"), Failure::not_found("x")];
        for failure in reasons.chain(others) {
            let said = failure.with_next_command(&verbs);
            let (_, hint) = said.split_once("\nhint: ").expect("a hint");
            assert!(hint.contains("`holdfast ") && !hint.contains('\n'), "{said}");
        }
        assert!(
            Failure::usage("x").with_next_command(&verbs).ends_with("`holdfast stock get --help` shows what it takes")
        );
        let told = Failure::usage("x").hint("do y").with_next_command(&verbs);
        assert!(told.ends_with("hint: do y; `holdfast stock get --help` shows what it takes"), "{told}");
        let told = Failure::usage("x").hint("`holdfast y` does it").with_next_command(&verbs);
        assert!(told.ends_with("hint: `holdfast y` does it"), "{told}");
    }

    #[test]
    fn wrong_usage_exits_2_and_a_failed_check_1() {
        assert_eq!(Failure::usage("x").exit(), 2);
        assert_eq!(Failure::check("x").exit(), 1);
        assert_eq!(Failure::unavailable("x").exit(), 6);
    }
}
