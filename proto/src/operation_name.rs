//! What each operation is called, in one word: in metrics, in logs, in what the client tells.

use crate::v1::command::Operation;

impl Operation {
    /// Its field's name in the proto: `put_item`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Operation::PutItem(_) => "put_item",
            Operation::Receive(_) => "receive",
            Operation::Adjust(_) => "adjust",
            Operation::Set(_) => "set",
            Operation::Reserve(_) => "reserve",
            Operation::Amend(_) => "amend",
            Operation::Extend(_) => "extend",
            Operation::Commit(_) => "commit",
            Operation::Release(_) => "release",
            Operation::Fulfil(_) => "fulfil",
            Operation::Cancel(_) => "cancel",
            Operation::Return(_) => "return",
            Operation::PutLot(_) => "put_lot",
            Operation::BlockLot(_) => "block_lot",
            Operation::UnblockLot(_) => "unblock_lot",
            Operation::Recall(_) => "recall",
            Operation::Move(_) => "move",
            Operation::SetSafetyStock(_) => "set_safety_stock",
            Operation::CreateTransfer(_) => "create_transfer",
            Operation::ReceiveTransfer(_) => "receive_transfer",
            Operation::LoseTransfer(_) => "lose_transfer",
            Operation::CancelTransfer(_) => "cancel_transfer",
            Operation::ExpectReceipt(_) => "expect_receipt",
            Operation::CloseReceipt(_) => "close_receipt",
            Operation::PutLimit(_) => "put_limit",
            Operation::OpenCount(_) => "open_count",
            Operation::RecordCount(_) => "record_count",
            Operation::ApplyCount(_) => "apply_count",
            Operation::CancelCount(_) => "cancel_count",
            Operation::Reconcile(_) => "reconcile",
            Operation::PutKit(_) => "put_kit",
            Operation::StartOrder(_) => "start_order",
            Operation::ReportStep(_) => "report_step",
            Operation::ResolveOrder(_) => "resolve_order",
            Operation::Grant(_) => "grant",
            Operation::Revoke(_) => "revoke",
            Operation::JoinQueue(_) => "join_queue",
            Operation::CommitDraw(_) => "commit_draw",
            Operation::Draw(_) => "draw",
            Operation::Admit(_) => "admit",
        }
    }
}
