//! The name of a kind of fault, as the command line writes it.

use std::fmt;
use std::str::FromStr;

use super::plan;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultKind(pub(super) &'static str);

impl FaultKind {
    /// All kinds.
    pub fn all() -> impl Iterator<Item = Self> {
        plan::names().map(Self)
    }

    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.replace(' ', "-"))
    }
}

/// A name that no kind of fault has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no kind of fault '{name}'; there are {}", all_names())]
pub struct UnknownFault {
    /// What was asked for.
    pub name: String,
}

fn all_names() -> String {
    FaultKind::all().map(|kind| kind.to_string()).collect::<Vec<_>>().join(", ")
}

impl FromStr for FaultKind {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, UnknownFault> {
        Self::all().find(|kind| kind.to_string() == name).ok_or_else(|| UnknownFault { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_kind_has_a_name_of_its_own_that_reads_back() {
        let names: BTreeSet<String> = FaultKind::all().map(|kind| kind.to_string()).collect();
        assert_eq!(names.len(), FaultKind::all().count());
        for kind in FaultKind::all() {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("earthquake".parse::<FaultKind>().unwrap_err().to_string().contains("power-loss"));
    }
}
