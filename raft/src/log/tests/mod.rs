//! Tests of the log.

mod basics;
