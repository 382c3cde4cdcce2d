//! Ways to break Holdfast on purpose, so that its checkers can be seen to notice.
//!
//! A checker that has never failed proves nothing. In a build with `--cfg holdfast_mutations` one mutation can be switched on
//! for the whole process, and `holdfast-sim mutations` counts the seeds until one is caught. In every other build [`is_on`] is
//! a constant `false`: the compiler drops what stands behind it, and no switch, flag or variable brings it back.
//!
//! A mutation stands where the rule that it breaks stands, as one condition beside it; where that is in a dependency, as a diff
//! (`openraft/`) that `cargo xtask mutations` applies to a copy of it.

use std::str::FromStr;

macro_rules! mutations {
    ($($variant:ident = $name:literal, $breaks:literal;)*) => {
        /// What may be broken on purpose.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Mutation {
            $(#[doc = $breaks] $variant,)*
        }

        impl Mutation {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name on the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it breaks.
            #[must_use]
            pub const fn breaks(self) -> &'static str {
                match self { $(Self::$variant => $breaks,)* }
            }
        }
    };
}

mutations! {
    ForgottenId = "forgotten-id", "No command's result is kept: a retry is decided anew.";
    OtherBodyTaken = "other-body-taken", "An id that comes again with another body gets the first one's answer.";
    AtpOffByOne = "atp-off-by-one", "One unit more is promised than there is.";
    EarlyExpiry = "early-expiry", "A command that meets a hold two seconds before its end finds it over.";
    RevisionIgnored = "revision-ignored", "A count is taken whatever happened since.";
    ChainHalfKept = "chain-half-kept", "What a failed chain changed before it failed stays.";
    ReleasedUnitsKept = "released-units-kept", "A release does not give the units back to the stock.";
    SecondLineNotHeld = "second-line-not-held", "Only the first line of a reservation is taken from the stock.";
    ComponentTakenAlone = "component-taken-alone", "Of a line that became several, those that can be held are held without the rest.";
    LimitIgnored = "limit-ignored", "A customer holds more than a limit allows.";
    LimitNotCounted = "limit-not-counted", "What a customer holds is not counted.";
    LimitNotGivenBack = "limit-not-given-back", "What a customer gives back stays counted.";
    BlockedLotSold = "blocked-lot-sold", "Units of a lot that is blocked are promised and sold.";
    LastExpiredFirstOut = "last-expired-first-out", "A sale is bound to the lots that leave sale last.";
    ShortNeverFilled = "short-never-filled", "What becomes free is sold anew before what is short gets it.";
    OldestHoldShortFirst = "oldest-hold-short-first", "Where stock goes away, the oldest holds lose theirs.";
    OrderHalfDecided = "order-half-decided", "A reservation over several shards is made though one of them refused.";
    PartEndsByItself = "part-ends-by-itself", "A part of a reservation ends by its own shard's clock.";
    PartNotGivenBack = "part-not-given-back", "A part whose reservation was not made keeps its units.";
    AllPartsTold = "all-parts-told", "When one part has followed, the others count as told.";
    EventsNotChained = "events-not-chained", "An event's hash does not cover the one before.";
    DigestSkipsResults = "digest-skips-results", "The digest of a state does not cover the kept results.";
    LocalClockExpiry = "local-clock-expiry", "Each replica ends holds by its own clock rather than by log time.";
    LostSync = "lost-sync", "The log's writer does not sync.";
    IgnoredEio = "ignored-eio", "A failed sync of the log counts as done.";
    VoteAfterLog = "vote-after-log", "A vote counts as durable before it is written.";
    VoteRolledBack = "vote-rolled-back", "A start forgets the votes of the node's earlier lives.";
    LeadsWithoutVote = "leads-without-vote", "A leader that was restarted leads on without an election.";
    AppendAcknowledgedEarly = "append-acknowledged-early", "An append counts as durable before it is written.";
    TruncationNotLogged = "truncation-not-logged", "Entries that were cut off come back at the next start.";
    RotAsTorn = "rot-as-torn", "A rotten batch at the end of the log is cut off as if its write had been torn.";
    RotServed = "rot-served", "The bodies of entries are not checked against their checksums.";
    EarlyPurge = "early-purge", "The log is purged up to what is applied rather than to what the checkpoint has.";
    CheckpointNotSynced = "checkpoint-not-synced", "A checkpoint is named before the state store has synced it.";
    DigestNotCompared = "digest-not-compared", "A start and a receiver of a snapshot believe chunks without their digest.";
    PeerChecksumIgnored = "peer-checksum-ignored", "What peers send is believed without its checksum.";
    SnapshotWithoutResults = "snapshot-without-results", "A received snapshot is taken without its table of results.";
    EventNotRecorded = "event-not-recorded", "Every twentieth event is left out of the change log.";
    OlderCopyVotes = "older-copy-votes", "A peer is believed whatever was seen of it: an older copy of its folder votes.";
    SchemaNotGated = "schema-not-gated", "A leader writes the latest schema that it understands, whatever its group's members do.";
    StaleLeaseRead = "stale-lease-read", "Whoever believes to lead answers a consistent read without asking a majority.";
    TokenIgnored = "token-ignored", "A read does not wait for what its token names.";
    AnswersSwapped = "answers-swapped", "The callers of one entry get each other's answers.";
    Openraft1802 = "openraft-1802", "A leader of five or more counts as committed what no majority has: openraft #1802 put back.";
    Openraft2118 = "openraft-2118", "A leader restored to its office counts its log as durable at once: openraft #2118 put back.";
    HashOrderLeaks = "hash-order-leaks", "Peers are greeted in the order of a hash map.";
    SystemRandomnessLeaks = "system-randomness-leaks", "openraft draws from the operating system's randomness.";
    WallClockLeaks = "wall-clock-leaks", "Log time follows the machine's clock rather than the world's.";
    TransferredUnitsStillSold = "transferred-units-still-sold", "Units that are sent stay at their source too.";
    TransferTakesPromisedUnits = "transfer-takes-promised-units", "Units are sent that holds need which are bound to no lot yet.";
    TransferReceivedTwice = "transfer-received-twice", "What of a transfer arrived is still on its way, and arrives again.";
    LostUnitsComeBack = "lost-units-come-back", "What is lost on the way is still on its way, and goes back to its source.";
    BackorderCapIgnored = "backorder-cap-ignored", "More is promised without stock than the cap allows.";
    BackorderFilledOutOfOrder = "backorder-filled-out-of-order", "Of what is promised without stock the newest is filled first.";
    BackorderShippedBeforeRelease = "backorder-shipped-before-release", "A preorder is shipped before its item is out.";
    BackorderedUnitCountedAsStock = "backordered-unit-counted-as-stock", "A unit that was promised without stock and is given back counts as one that is there.";
    ReceiptStillExpected = "receipt-still-expected", "What a closed receipt lacks is still expected.";
    CountAppliedTwice = "count-applied-twice", "A count that was applied can be applied again.";
    CountAgainstThePresent = "count-against-the-present", "A count is compared with what lies there when it is applied, not when it was recorded.";
    CountShortfallNotTold = "count-shortfall-not-told", "A count does not say whose units are missing.";
    BufferIgnored = "buffer-ignored", "What a channel keeps back at its locations is sold through it.";
    ChannelLocationIgnored = "channel-location-ignored", "Through a channel is sold from locations that are none of its own.";
    SplitWithoutLeave = "split-without-leave", "A line is split over locations though the caller does not want it.";
    LostRaceRecorded = "lost-race-recorded", "A plan that lost a race is refused for good.";
    NestedKitCountedOnce = "nested-kit-counted-once", "A kit within a kit counts once, however many of it are needed.";
    KitRevisionIgnored = "kit-revision-ignored", "A kit is sold by its present recipe, whatever revision was asked for.";
    StepNotCompensated = "step-not-compensated", "A step that was done is not taken back when its order comes to nothing.";
    OrderConfirmedEarly = "order-confirmed-early", "An order is sold though its last step is not done.";
    SilentStepConfirmed = "silent-step-confirmed", "A step that does not answer in time counts as done.";
    AuditFalseAlarm = "audit-false-alarm", "An audit finds a breach where there is none, and halts the shard.";
    FenceIgnored = "fence-ignored", "What campaigns have is sold to others.";
    CampaignWindowIgnored = "campaign-window-ignored", "A campaign sells before it begins and after it is over.";
    AllocationNotGivenBack = "allocation-not-given-back", "What is given back in a campaign does not come back to it.";
    UnsoldStaysFenced = "unsold-stays-fenced", "What a campaign has not sold is kept for it when it is over.";
    TokenSpentTwice = "token-spent-twice", "A token that let somebody in lets in again.";
    DrawNotCommitted = "draw-not-committed", "A lottery is drawn with another seed than the one it was held to.";
    QueueOutOfOrder = "queue-out-of-order", "Of those who wait the last are let in first.";
    TooManyLetIn = "too-many-let-in", "Those who are let in and have not come yet keep no unit.";
    CounterNotAsked = "counter-not-asked", "A line of an item under a limit over several is held without the customer's counter.";
    CounterCountedTwice = "counter-counted-twice", "A part that is asked for again is counted again.";
    CounterNotGivenBack = "counter-not-given-back", "What a customer gives back stays counted where a limit is over several items.";
    MinimumIgnored = "minimum-ignored", "Of a line that may be fewer units, fewer are held than will do.";
    KitHeldUneven = "kit-held-uneven", "Where fewer of a line can be had, other shards keep what they hold for all of it.";
    LineSoldWhole = "line-sold-whole", "Where some units of a line on another shard are sold, that shard sells all of them.";
    ReturnNotTold = "return-not-told", "What comes back on another shard is not told to the one that decides.";
    ExpiredLotSold = "expired-lot-sold", "Units of a lot past its date are promised and sold.";
    LateRefusalBelieved = "late-refusal-believed", "A step that is declined after an attempt that may have been done counts as not done.";
    RecallMissesShipped = "recall-misses-shipped", "Who was shipped units of a lot, and has none of it otherwise, is not named by its list.";
    RecalledLotShips = "recalled-lot-ships", "Units of a recalled lot are picked in the place of others.";
    UnrecordedTakenAsFinal = "unrecorded-taken-as-final", "The client marks no attempt as another one, and takes a refusal that was not recorded as final.";
    RetakeTakesLess = "retake-takes-less", "A retake sells what is left where not all that has expired can be had.";
    CancelAtIgnored = "cancel-at-ignored", "What is sold and not shipped in time is not cancelled.";
    WindowNeverMoves = "window-never-moves", "What leaves the window of a limit still counts.";
}

/// How a mutation shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// A checker notices.
    ToAChecker,
    /// The same seed gives another trace when it is run again.
    InTheTrace,
    /// In no way, for this reason: a trace is the same with it and without it.
    Never(&'static str),
}

impl Mutation {
    /// How it must show.
    #[must_use]
    pub const fn shows(self) -> Shows {
        match self {
            Self::HashOrderLeaks | Self::SystemRandomnessLeaks | Self::WallClockLeaks => Shows::InTheTrace,
            Self::Openraft2118 => Shows::Never(
                "openraft goes that way only where it restores a leader without an election, which is switched off; and a \
                 vote is durable only behind all entries that were appended before it",
            ),
            _ => Shows::ToAChecker,
        }
    }
}

/// A name that is no mutation's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownMutation {
    /// What was asked for.
    pub name: String,
}

impl std::fmt::Display for UnknownMutation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = Mutation::ALL.iter().map(|mutation| mutation.name()).collect();
        write!(f, "there is no mutation '{}'; there are {}", self.name, names.join(", "))
    }
}

impl std::error::Error for UnknownMutation {}

impl FromStr for Mutation {
    type Err = UnknownMutation;

    fn from_str(name: &str) -> Result<Self, UnknownMutation> {
        let found = Self::ALL.iter().find(|mutation| mutation.name() == name);
        found.copied().ok_or_else(|| UnknownMutation { name: name.to_owned() })
    }
}

/// A mutation that is not switched on, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CannotBreak(Mutation, &'static str);

impl std::fmt::Display for CannotBreak {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is not switched on: {}", self.0.name(), self.1)
    }
}

impl std::error::Error for CannotBreak {}

/// Whether this build can be broken at all.
pub const CAN_BREAK: bool = cfg!(holdfast_mutations);

#[cfg(holdfast_mutations)]
static BROKEN: std::sync::OnceLock<Mutation> = std::sync::OnceLock::new();

/// Whether this mutation is switched on in this process.
#[cfg(holdfast_mutations)]
#[must_use]
pub fn is_on(mutation: Mutation) -> bool {
    BROKEN.get() == Some(&mutation)
}

/// Whether this mutation is switched on in this process: never, in this build.
#[cfg(not(holdfast_mutations))]
#[inline(always)]
#[must_use]
pub const fn is_on(_: Mutation) -> bool {
    false
}

/// Switches a mutation on for the rest of the process. Before anything else is done, and once.
///
/// # Errors
///
/// This build cannot be broken, or another one is on.
pub fn switch_on(mutation: Mutation) -> Result<(), CannotBreak> {
    #[cfg(holdfast_mutations)]
    return BROKEN.set(mutation).map_err(|_| CannotBreak(mutation, "another one is on"));
    #[cfg(not(holdfast_mutations))]
    Err(CannotBreak(mutation, "it needs a build with --cfg holdfast_mutations: `cargo xtask mutations` makes one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutation_is_found_by_its_name_alone() {
        for mutation in Mutation::ALL {
            assert_eq!(mutation.name().parse(), Ok(*mutation));
        }
        assert!("lost".parse::<Mutation>().unwrap_err().to_string().contains("lost-sync"));
    }

    #[test]
    fn no_name_is_there_twice() {
        let mut names: Vec<&str> = Mutation::ALL.iter().map(|mutation| mutation.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Mutation::ALL.len());
    }

    #[cfg(not(holdfast_mutations))]
    #[test]
    fn what_ships_cannot_be_broken() {
        assert!(switch_on(Mutation::LostSync).is_err());
        assert!(!is_on(Mutation::LostSync));
    }
}
