//! What another system's records say of the stock, held against the books.
//!
//! `file` reads what it says, `order` counts what reservations have of it, `classify` finds where it differs and what would mend it; none
//! of them knows how a cluster is asked: that is `verbs/reconcile.rs`. `inbox` is the folder that may be watched for files.

mod classify;
mod file;
pub mod inbox;
mod order;

pub use classify::{Books, Difference, Mending, OrderBooks, judge_count, judge_sale, judge_shipment};
pub use file::{Counted, Records, Said, Sold, read};
pub use order::{Rows, books_of_order};
