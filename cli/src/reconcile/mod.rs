//! What another system's records say of the stock, held against the books.
//!
//! `file` reads what it says, `classify` finds where it differs and what would mend it, and knows nothing of a cluster; who asks the
//! cluster is `verbs/reconcile.rs`. `inbox` is the folder that may be watched for files.

mod classify;
mod file;
pub mod inbox;

pub use classify::{Books, Difference, Mending, OrderBooks, judge_count, judge_sale, judge_shipment};
pub use file::{Counted, Records, Said, Sold, read};
