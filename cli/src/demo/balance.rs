//! Units by what was answered, against units by the ledger.

use serde::Serialize;

use crate::ledger::Findings;

/// Remarks kept to be shown.
const MAX_REMARKS: usize = 20;

/// What differs. *Lost* is what was answered as done and the ledger does not have, *duplicated* what the ledger has and no answer
/// explains; both in units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Balance {
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) remarks: Vec<String>,
}

impl Balance {
    /// Says something of what differs.
    pub(super) fn remark(&mut self, words: String) {
        if self.remarks.len() < MAX_REMARKS {
            self.remarks.push(words);
        }
    }

    /// The ledger should have `told` units, and has `found`.
    pub(super) fn compare(&mut self, what: impl Fn() -> String, told: u64, found: u64) {
        if told != found {
            self.remark(format!("{}: {told} by what was answered, {found} by the ledger", what()));
        }
        self.lost += told.saturating_sub(found);
        self.duplicated += found.saturating_sub(told);
    }

    /// Joins another look at the same units: the greater difference counts, not both.
    pub(super) fn join(&mut self, other: Self) {
        self.lost = self.lost.max(other.lost);
        self.duplicated = self.duplicated.max(other.duplicated);
        other.remarks.into_iter().for_each(|words| self.remark(words));
    }
}

/// What of any demo's end must be nothing, and the same everywhere. In units, but for the last two.
#[derive(Clone, Debug, Serialize)]
pub struct Agreement {
    oversold: u64,
    lost: u64,
    duplicated: u64,
    unbalanced_skus: usize,
    replicas_identical: bool,
}

impl Agreement {
    /// What was answered against the ledger, and the ledger's own account.
    pub(super) fn of(oversold: u64, balance: &Balance, findings: &Findings) -> Self {
        Self {
            oversold,
            lost: balance.lost,
            duplicated: balance.duplicated,
            unbalanced_skus: findings.unbalanced.len(),
            replicas_identical: findings.identical,
        }
    }

    /// Does everything agree?
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.oversold == 0
            && self.lost == 0
            && self.duplicated == 0
            && self.unbalanced_skus == 0
            && self.replicas_identical
    }
}
