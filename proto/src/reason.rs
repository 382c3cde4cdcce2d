//! The one table of errors: what each reason is on each face.
