//! A file a command: what it holds, the rule that decides it, and the tests of both.

mod adjust;
mod amend;
mod block_lot;
mod cancel;
mod commit;
mod decision;
mod extend;
mod follow;
mod fulfil;
mod prepare;
mod put_channel;
mod put_item;
mod put_location;
mod put_lot;
mod receive;
mod release;
mod reserve;
mod reserve_spread;
mod return_units;
mod role;
mod set;
mod set_limits;
mod take;

mod cancel_transfer;
mod close_receipt;
mod count_shared;
mod create_transfer;
mod expect_receipt;
mod lose_transfer;
mod move_units;
mod plan;
mod put_kit;
mod put_limit;
mod put_shared_limit;
mod receive_transfer;
mod set_safety_stock;

mod report_step;
mod resolve_order;
mod start_order;

mod apply_count;
mod cancel_count;
mod open_count;
mod reconcile;
mod record_count;

mod halt_shard;
mod resume_shard;

mod grant;
mod put_campaign;

mod admit;
mod commit_draw;
mod draw;
mod join_queue;

/// How long a caller should wait where a bound of the shard is reached that only time or an operator can lift.
pub(crate) const FULL_RETRY_MS: u64 = 1_000;

pub use adjust::Adjust;
pub use amend::Amend;
pub use block_lot::BlockLot;
pub use cancel::Cancel;
pub use commit::{Commit, IfExpired, MAX_CANCEL_AHEAD_MS};
pub use decision::{Abandon, AskDecision, Told};
pub use extend::Extend;
pub use follow::Follow;
pub use fulfil::{Fulfil, Picked};
pub use prepare::Prepare;
pub use put_channel::PutChannel;
pub use put_item::PutItem;
pub use put_limit::PutLimit;
pub use put_location::PutLocation;
pub use put_lot::PutLot;
pub use receive::{MAX_LOTS_AT_PLACE, Receive};
pub use release::Release;
pub use reserve::{DEFAULT_TTL_S, Line, MAX_LINES, MAX_TTL_S, Reserve};
pub use reserve_spread::{PreparedPart, ReserveSpread};
pub use return_units::Return;
pub use set::Set;
pub use set_limits::SetLimits;

pub use cancel_transfer::CancelTransfer;
pub use close_receipt::CloseReceipt;
pub use create_transfer::{CreateTransfer, DocumentLine};
pub use expect_receipt::ExpectReceipt;
pub use lose_transfer::LoseTransfer;
pub use move_units::MoveUnits;
pub use plan::{AskedLine, CounterLine, KitOf, MAX_PLANNED_LINES, Plan, Sourced};
pub use put_kit::PutKit;
pub use put_shared_limit::PutSharedLimit;
pub use receive_transfer::{ArrivedUnits, ReceiveTransfer};
pub use set_safety_stock::SetSafetyStock;

pub use report_step::{ReportStep, StepReport};
pub use resolve_order::ResolveOrder;
pub use start_order::StartOrder;

pub use apply_count::ApplyCount;
pub use cancel_count::CancelCount;
pub use open_count::OpenCount;
pub use reconcile::{Discrepancy, Reconcile};
pub use record_count::{CountedUnits, RecordCount};

pub use halt_shard::{HaltShard, MAX_FINDING_BYTES};
pub use resume_shard::ResumeShard;

pub use grant::{Grant, Revoke};
pub use put_campaign::PutCampaign;

pub use admit::Admit;
pub use commit_draw::CommitDraw;
pub use draw::Draw;
pub use join_queue::JoinQueue;
