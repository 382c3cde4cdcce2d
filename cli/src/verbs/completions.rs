//! `holdfast completions`.

use std::io;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Arguments;

/// Print a script that completes holdfast's verbs and flags in a shell.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Prints the script.
    pub fn run(&self) {
        clap_complete::generate(self.shell, &mut Arguments::command(), "holdfast", &mut io::stdout());
    }
}
