//! The figures of one context: how much burns in it. Where they come from is in `contexts`.

use crate::domain::finding::{Finding, FindingKind, More, Severity, n_left_out};
use crate::domain::id::EntityKind;
use crate::domain::role::Role;

/// What burns in a context, counted as its triage shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Findings of something that is broken, or breaks within hours.
    pub critical: usize,
    /// Those of them about Vault, which a console there would see by itself.
    pub vault: usize,
    /// Findings of what breaks soon.
    pub warnings: usize,
    /// Certificates that are *expiring*, as their list counts them.
    pub expiring: i64,
    /// Agents that missed their check-ins.
    pub silent: usize,
    /// Requests that are not at their end, or failed, as in triage's pane.
    pub requests: i64,
    /// Requests that failed for good, as their list counts them. Most of them have no finding of their own: it is
    /// their certificate's.
    pub failed: i64,
    /// The role of the token by which they were asked for, where the API told it.
    pub role: Option<Role>,
}

/// Numbers of rows that lists have at the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// Of certificates, with the filter [`EXPIRING`].
    pub expiring: i64,
    /// Of requests that are open, or failed.
    pub requests: i64,
    /// Of requests, with the filter [`FAILED`].
    pub failed: i64,
}

/// Filter of the certificates that are counted, as it is typed in their list.
pub const EXPIRING: &str = "status:expiring";
/// Filter of the failed requests, likewise.
pub const FAILED: &str = "status:failed";

impl Figures {
    /// Counted from the findings; lists are counted by who has all of their rows.
    #[must_use]
    pub fn of(findings: &[Finding], more: &More, lists: Lists) -> Self {
        let severe = |severity| findings.iter().filter(|it| it.severity == severity).count();
        let left_out = |n: i64| usize::try_from(n).unwrap_or(0);
        let of_kind = |kind| {
            let more = more.get(&kind).map_or(0, |more| left_out(more.total()));
            let told = findings.iter().filter(|it| it.kind == kind).count();
            told.saturating_add(more)
        };
        let warnings = n_left_out(more, |more| more.warning);
        Self {
            critical: severe(Severity::Critical),
            vault: findings.iter().filter(|it| is_critical_vault(it)).count(),
            warnings: severe(Severity::Warning).saturating_add(warnings),
            expiring: lists.expiring,
            silent: of_kind(FindingKind::AgentSilent),
            requests: lists.requests,
            failed: lists.failed,
            role: None,
        }
    }
}

fn is_critical_vault(finding: &Finding) -> bool {
    finding.severity == Severity::Critical && finding.entity == EntityKind::Vault
}
