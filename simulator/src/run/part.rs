//! A part of what a seed draws: some kinds of faults, some workloads, a storm of another length. What is left of the plan is
//! as the seed drew it.

use std::fmt;
use std::str::FromStr;

use super::setting::Setting;
use crate::faults::{Choice, FaultKind, kinds_of};
use crate::workloads::Workload;

/// Names, separated by commas; `none` for none of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Only<T>(pub Vec<T>);

const NONE: &str = "none";

impl<T: FromStr> FromStr for Only<T> {
    type Err = T::Err;

    fn from_str(names: &str) -> Result<Self, T::Err> {
        if names == NONE {
            return Ok(Self(Vec::new()));
        }
        names.split(',').map(|name| name.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl<T: fmt::Display> fmt::Display for Only<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(if names.is_empty() { NONE } else { "" })?;
        f.write_str(&names.join(","))
    }
}

/// What of a seed's run is played; what is `None` is played as the seed drew it.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Part {
    /// Of the faults that the seed drew only these kinds, by their names with hyphens (`kill,power-loss`), or `none`.
    #[arg(long, value_name = "KINDS", requires = "seed")]
    pub only_faults: Option<Only<FaultKind>>,
    /// These kinds of faults, whatever the seed draws.
    #[arg(long, value_name = "KINDS", conflicts_with = "only_faults")]
    pub faults: Option<Only<FaultKind>>,
    /// Of the workloads that the seed drew only these, by their names.
    #[arg(long, value_name = "NAMES", requires = "seed")]
    pub only_workloads: Option<Only<Workload>>,
    /// How long faults may begin, in simulated milliseconds, in place of what the seed drew.
    #[arg(long, value_name = "MS", requires = "seed", value_parser = clap::value_parser!(u64).range(..=MOST_STORM_MS))]
    pub storm_ms: Option<u64>,
}

/// The longest storm that may be asked for.
const MOST_STORM_MS: u64 = 600_000;

/// What a run has in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Case {
    /// The kinds of faults.
    pub faults: Vec<FaultKind>,
    /// What the customers do.
    pub workloads: Vec<Workload>,
    /// How long faults may begin, in simulated milliseconds.
    pub storm_ms: u64,
    /// Whether the kinds of faults were chosen rather than drawn.
    pub is_chosen: bool,
}

impl Case {
    /// All that a seed draws.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let storm_ms = u64::try_from(Setting::of(seed).storm.as_millis()).unwrap_or(u64::MAX);
        Self { faults: kinds_of(seed), workloads: Workload::of_seed(seed), storm_ms, is_chosen: false }
    }

    /// The same with these faults, whatever the seed draws.
    #[must_use]
    pub fn with_faults(self, faults: Vec<FaultKind>) -> Self {
        Self { faults, is_chosen: true, ..self }
    }

    /// What of a seed's run is played when it is this; `whole` is all that the seed draws.
    #[must_use]
    pub fn as_part_of(&self, whole: &Self) -> Part {
        let faults = self.is_chosen.then(|| Only(self.faults.clone()));
        let only_faults = (!self.is_chosen && self.faults != whole.faults).then(|| Only(self.faults.clone()));
        let only_workloads = (self.workloads != whole.workloads).then(|| Only(self.workloads.clone()));
        let storm_ms = (self.storm_ms != whole.storm_ms).then_some(self.storm_ms);
        Part { only_faults, faults, only_workloads, storm_ms }
    }
}

impl Part {
    /// Which kinds of faults it has.
    pub(super) fn choice(&self) -> Choice {
        match (&self.faults, &self.only_faults) {
            (Some(Only(chosen)), _) => Choice::Exactly(chosen.clone()),
            (None, Some(Only(kept))) => Choice::OnlyOf(kept.clone()),
            (None, None) => Choice::AsDrawn,
        }
    }

    /// Its flags on the command line of `holdfast-sim run`.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let mut flags = Vec::new();
        let mut add = |flag: &str, value: Option<String>| {
            flags.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value]));
        };
        add("--only-faults", self.only_faults.as_ref().map(Only::to_string));
        add("--faults", self.faults.as_ref().map(Only::to_string));
        add("--only-workloads", self.only_workloads.as_ref().map(Only::to_string));
        add("--storm-ms", self.storm_ms.map(|storm_ms| storm_ms.to_string()));
        flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_the_whole_becomes_flags_that_read_back() {
        let whole = Case::of_seed(2);
        assert_eq!(whole.as_part_of(&whole).flags(), Vec::<String>::new());
        let kept = whole.faults.iter().copied().take(2).collect::<Vec<_>>();
        let workloads = whole.workloads[1..2].to_vec();
        let case = Case { faults: kept.clone(), workloads, storm_ms: 750, is_chosen: false };
        let flags = case.as_part_of(&whole).flags();
        assert_eq!([&flags[0], &flags[2], &flags[4]], ["--only-faults", "--only-workloads", "--storm-ms"]);
        assert_eq!(flags[1].parse(), Ok(Only(kept)));
        assert_eq!(flags[3].parse(), Ok(Only(case.workloads)));
        assert_eq!(flags[5], "750");
        let chosen = Case::of_seed(2).with_faults(case.faults.clone());
        assert_eq!(chosen.as_part_of(&chosen).flags(), ["--faults", &flags[1]]);
    }

    #[test]
    fn no_faults_at_all_can_be_asked_for_and_an_unknown_one_is_refused() {
        assert_eq!(Only::<FaultKind>(Vec::new()).to_string(), "none");
        assert_eq!("none".parse(), Ok(Only::<FaultKind>(Vec::new())));
        assert!("kill,earthquake".parse::<Only<FaultKind>>().is_err());
        assert!("".parse::<Only<Workload>>().is_err());
    }
}
