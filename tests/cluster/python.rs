//! A Python with packages of others, for tests that ask a cluster as somebody does who has none of our code.

use std::path::{Path, PathBuf};

/// Names a Python that has what tests/doors/requirements.txt lists.
const PYTHON: &str = "TEST_PYTHON";

/// The root of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A Python that has the packages; `None`, said aloud with `what` is left out, where there is none.
pub fn python(what: &str) -> Option<PathBuf> {
    let made = root().join("target/tools/python/bin/python");
    let python = std::env::var_os(PYTHON).map(PathBuf::from).or_else(|| made.is_file().then_some(made));
    if python.is_none() {
        eprintln!(
            "LEFT OUT: {what}. `python3 -m venv target/tools/python` and `target/tools/python/bin/pip install -r \
             tests/doors/requirements.txt` make what it needs, or {PYTHON} names it"
        );
    }
    python
}
