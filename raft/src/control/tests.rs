//! Tests of the control file.
