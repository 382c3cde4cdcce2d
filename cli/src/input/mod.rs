//! Files that others made, read row by row: a catalogue, an event trace. What is wrong with a row is named, counted and
//! shown with its line; it stops nothing.

pub mod catalogue;
mod dirt;
mod open;
mod rows;
mod stock;
pub mod trace;

pub use catalogue::CatalogueReader;
pub use dirt::{DirtKind, DirtTally, DirtyRow, Usable};
pub use open::open;
pub use rows::{Row, RowReader};
pub use stock::{COLUMNS as STOCK_COLUMNS, StockReader};
pub use trace::{Event, EventKind, TraceReader};
