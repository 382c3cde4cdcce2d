//! Sealing: a command gets its id, its time of minting and its new reservation's id, and is encoded. What is sealed is
//! sent byte for byte by every attempt, but for the mark that there may have been another.

use bytes::Bytes;
use holdfast_mutation::{Mutation, is_on};
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use prost::Message;
use xxhash_rust::xxh3::xxh3_128;

use super::{Command, CommandKey};
use crate::cluster_time::{ClusterTime, RandomBits};
use crate::ids::{CommandId, CountId, ReceiptId, ReservationId, TransferId, slot_of};

/// A command that no longer changes.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    /// A `holdfast.v1.Command`.
    pub(crate) encoded: Bytes,
    pub(crate) command_id: CommandId,
    pub(crate) about: About,
    /// Of the shard that decides it.
    pub(crate) slot: u16,
    pub(crate) linked: bool,
    /// What is encoded says that another attempt may be done.
    is_marked: bool,
}

/// `retry` of a `holdfast.v1.Command`, set: a field that comes last in what is encoded is as good as in its place.
const RETRY: [u8; 2] = [6 << 3, 1];

impl Sealed {
    /// What an attempt sends; `may_be_done`: another one may be, or may be under way.
    pub(crate) fn attempt(&self, may_be_done: bool) -> Bytes {
        if self.is_marked || !may_be_done || is_on(Mutation::UnrecordedTakenAsFinal) {
            return self.encoded.clone();
        }
        [self.encoded.as_ref(), &RETRY].concat().into()
    }
}

/// What a command is about, beside its item.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct About {
    pub(crate) reservation_id: Option<ReservationId>,
    pub(crate) transfer_id: Option<TransferId>,
    pub(crate) receipt_id: Option<ReceiptId>,
    pub(crate) count_id: Option<CountId>,
}

/// Where ids come from.
#[derive(Debug)]
pub(crate) struct Minter<'a> {
    pub(crate) time: &'a ClusterTime,
    pub(crate) random: &'a RandomBits,
}

/// Fixes a command for all its attempts.
pub(crate) fn seal(command: Command, minter: &Minter<'_>) -> Sealed {
    let Command { mut operation, key, linked, cause, is_first } = command;
    let is_marked = key != CommandKey::Minted && !is_first && !is_on(Mutation::UnrecordedTakenAsFinal);
    let (command_id, minted_at_ms, own_key) = match key {
        CommandKey::Minted => {
            let now_ms = minter.time.now_ms();
            (CommandId::mint(now_ms, minter.random.next()), now_ms, false)
        }
        CommandKey::Id(id) => id.time_ms().map_or((id, 0, true), |time_ms| (id, time_ms, false)),
        CommandKey::Own(id) => (id, 0, true),
    };
    name_what_is_new(&mut operation, command_id, minted_at_ms);
    let (slot, about) = decided_at(&operation);
    let command = v1::Command {
        command_id: Some(command_id.into()),
        minted_at_ms,
        own_key,
        linked,
        cause,
        retry: is_marked,
        operation: Some(operation),
    };
    Sealed { encoded: command.encode_to_vec().into(), command_id, about, slot, linked, is_marked }
}

/// Gives what the command makes an id, where it has none. It follows from the command's own: a repetition by another process,
/// which knows only the command's id, has the same body.
fn name_what_is_new(operation: &mut Operation, command_id: CommandId, minted_at_ms: u64) {
    let random = xxh3_128(&command_id.0.to_be_bytes());
    match operation {
        Operation::Reserve(it) if it.reservation_id.is_none() => {
            let first_sku = it.lines.first().map_or("", |line| line.sku.as_str());
            it.reservation_id = Some(ReservationId::mint(minted_at_ms, slot_of(first_sku), random).into());
        }
        Operation::CreateTransfer(it) if it.transfer_id.is_none() => {
            it.transfer_id = Some(TransferId::mint(minted_at_ms, slot_of(&it.sku), random).into());
        }
        Operation::ExpectReceipt(it) if it.receipt_id.is_none() => {
            it.receipt_id = Some(ReceiptId::mint(minted_at_ms, slot_of(&it.sku), random).into());
        }
        Operation::OpenCount(it) if it.count_id.is_none() => {
            it.count_id = Some(CountId::mint(minted_at_ms, slot_of(&it.sku), random).into());
        }
        _ => {}
    }
}

/// The slot that a command is decided in, and what it is about. What is missing is for the node to refuse: any
/// slot will do.
fn decided_at(operation: &Operation) -> (u16, About) {
    let by_reservation = |id: Option<v1::Id>| {
        let id = ReservationId::from(id.unwrap_or_default());
        (id.slot(), About { reservation_id: Some(id), ..About::default() })
    };
    let by_transfer = |id: Option<v1::Id>| {
        let id = TransferId::from(id.unwrap_or_default());
        (id.slot(), About { transfer_id: Some(id), ..About::default() })
    };
    let by_receipt = |id: Option<v1::Id>| {
        let id = ReceiptId::from(id.unwrap_or_default());
        (id.slot(), About { receipt_id: Some(id), ..About::default() })
    };
    let by_count = |id: Option<v1::Id>| {
        let id = CountId::from(id.unwrap_or_default());
        (id.slot(), About { count_id: Some(id), ..About::default() })
    };
    let by_sku = |sku: &str| (slot_of(sku), About::default());
    match operation {
        Operation::PutItem(put) => by_sku(put.item.as_ref().map_or("", |item| item.sku.as_str())),
        Operation::Receive(receive) => by_sku(&receive.sku),
        Operation::Adjust(adjust) => by_sku(&adjust.sku),
        Operation::Set(set) => by_sku(&set.sku),
        Operation::PutLot(put) => by_sku(&put.sku),
        Operation::BlockLot(block) => by_sku(&block.sku),
        Operation::UnblockLot(unblock) => by_sku(&unblock.sku),
        Operation::Recall(recall) => by_sku(&recall.sku),
        Operation::Reserve(reserve) => by_reservation(reserve.reservation_id),
        Operation::Amend(amend) => by_reservation(amend.reservation_id),
        Operation::Extend(extend) => by_reservation(extend.reservation_id),
        Operation::Commit(commit) => by_reservation(commit.reservation_id),
        Operation::Release(release) => by_reservation(release.reservation_id),
        Operation::Fulfil(fulfil) => by_reservation(fulfil.reservation_id),
        Operation::Cancel(cancel) => by_reservation(cancel.reservation_id),
        Operation::Return(r#return) => by_reservation(r#return.reservation_id),
        Operation::Move(it) => by_sku(&it.sku),
        Operation::SetSafetyStock(it) => by_sku(&it.sku),
        Operation::PutLimit(it) => by_sku(&it.sku),
        Operation::CreateTransfer(it) => by_transfer(it.transfer_id),
        Operation::ReceiveTransfer(it) => by_transfer(it.transfer_id),
        Operation::LoseTransfer(it) => by_transfer(it.transfer_id),
        Operation::CancelTransfer(it) => by_transfer(it.transfer_id),
        Operation::ExpectReceipt(it) => by_receipt(it.receipt_id),
        Operation::CloseReceipt(it) => by_receipt(it.receipt_id),
        Operation::OpenCount(it) => by_count(it.count_id),
        Operation::RecordCount(it) => by_count(it.count_id),
        Operation::ApplyCount(it) => by_count(it.count_id),
        Operation::CancelCount(it) => by_count(it.count_id),
        Operation::Reconcile(it) => by_sku(&it.sku),
        Operation::StartOrder(it) => by_reservation(it.reservation_id),
        Operation::ReportStep(it) => by_reservation(it.reservation_id),
        Operation::ResolveOrder(it) => by_reservation(it.reservation_id),
        Operation::PutKit(put) => by_sku(put.kit.as_ref().map_or("", |kit| kit.sku.as_str())),
        Operation::Grant(it) => by_sku(&it.sku),
        Operation::Revoke(it) => by_sku(&it.sku),
        // The shard of the campaign's id keeps its waiting room.
        Operation::JoinQueue(it) => by_sku(&it.campaign_id),
        Operation::CommitDraw(it) => by_sku(&it.campaign_id),
        Operation::Draw(it) => by_sku(&it.campaign_id),
        Operation::Admit(it) => by_sku(&it.campaign_id),
    }
}

#[cfg(test)]
mod tests {
    use holdfast_world::World;

    use super::*;
    use crate::command::{
        ApplyCount, CreateTransfer, ExpectReceipt, OpenCount, Receive, ReceiveTransfer, Release, Reserve,
    };

    fn sealed(command: impl Into<Command>) -> (Sealed, v1::Command) {
        let world = World::real();
        let time = ClusterTime::new(world.clock.clone());
        time.learn(1_790_000_000_000);
        let random = RandomBits::new(&world);
        let sealed = seal(command.into(), &Minter { time: &time, random: &random });
        let command = v1::Command::decode(sealed.encoded.clone()).unwrap();
        (sealed, command)
    }

    #[test]
    fn a_minted_id_carries_the_time_that_the_body_says() {
        let (sealed, command) = sealed(Receive::of("LIP-01", 10));
        assert_eq!(sealed.command_id.time_ms(), Some(command.minted_at_ms));
        assert!(command.minted_at_ms >= 1_790_000_000_000);
        assert_eq!((sealed.slot, command.own_key), (slot_of("LIP-01"), false));
    }

    #[test]
    fn a_reservation_is_decided_where_its_first_line_is() {
        let (made, _) = sealed(Reserve::new().line("LIP-01", 1).line("NAIL-02", 2));
        assert_eq!(made.slot, slot_of("LIP-01"));
        let id = made.about.reservation_id.unwrap();
        assert!(id.is_well_formed());
        let (released, _) = sealed(Release::of(id));
        assert_eq!((released.slot, released.about.reservation_id), (made.slot, Some(id)));
    }

    #[test]
    fn a_transfer_a_receipt_and_a_count_are_decided_where_their_item_is() {
        let (made, _) = sealed(CreateTransfer::of("LIP-01", "shop").units(1));
        let id = made.about.transfer_id.unwrap();
        assert!(id.is_well_formed() && id.slot() == slot_of("LIP-01"));
        assert_eq!(sealed(ReceiveTransfer::of(id)).0.slot, slot_of("LIP-01"));
        let (made, _) = sealed(ExpectReceipt::of("LIP-01").units(1));
        assert_eq!((made.slot, made.about.receipt_id.unwrap().slot()), (slot_of("LIP-01"), slot_of("LIP-01")));
        let (made, _) = sealed(OpenCount::of("LIP-01"));
        let id = made.about.count_id.unwrap();
        assert_eq!((made.slot, sealed(ApplyCount::of(id)).0.slot), (slot_of("LIP-01"), slot_of("LIP-01")));
        let key = CommandKey::Own(CommandId::of_key("transfer 7"));
        let again = || sealed(Command::from(CreateTransfer::of("LIP-01", "shop").units(1)).with_key(key)).0;
        assert_eq!(again().encoded, again().encoded);
    }

    #[test]
    fn the_same_id_or_own_key_gives_the_same_bytes_in_another_process() {
        let id = CommandId::mint(1_789_999_999_000, 5);
        for key in [CommandKey::Id(id), CommandKey::Own(CommandId::of_key("order-1001"))] {
            let reserve = || Command::from(Reserve::new().line("LIP-01", 1)).with_key(key);
            assert_eq!(sealed(reserve()).0.encoded, sealed(reserve()).0.encoded);
        }
        assert_eq!(
            sealed(Command::from(Receive::of("A", 1)).with_key(CommandKey::Id(id))).1.minted_at_ms,
            1_789_999_999_000
        );
    }

    #[test]
    fn an_attempt_is_marked_where_another_one_may_be_done() {
        let (made, first) = sealed(Reserve::new().line("LIP-01", 1));
        assert_eq!((first.retry, made.attempt(false)), (false, made.encoded.clone()));
        let again = v1::Command::decode(made.attempt(true)).unwrap();
        assert_eq!(again, v1::Command { retry: true, ..first });
    }

    #[test]
    fn a_command_with_a_key_of_the_callers_is_marked_unless_it_is_the_first() {
        let key = CommandKey::Own(CommandId::of_key("order-1001"));
        let reserve = || Command::from(Reserve::new().line("LIP-01", 1)).with_key(key);
        let (marked, command) = sealed(reserve());
        assert!(command.retry);
        assert_eq!(marked.attempt(true), marked.encoded);
        assert!(!sealed(reserve().first_attempt()).1.retry);
    }

    #[test]
    fn an_own_key_is_sent_without_a_time() {
        let own = CommandKey::Id(CommandId::of_key("order-1001"));
        let (_, command) = sealed(Command::from(Receive::of("A", 1)).with_key(own));
        assert_eq!((command.minted_at_ms, command.own_key), (0, true));
    }
}
