//! The facts that a screen shows beside its rows, whichever screen it is: what an export has of a detail.

use super::detail::Fact;
use super::{agent, audit_row, certificate, key, request, services};
use crate::state::State;
use crate::state::screen::ViewId;

/// The facts of the open screen; none where it has rows only.
pub(super) fn facts(state: &State) -> Vec<Fact> {
    match state.place().view {
        ViewId::Certificate => certificate::exported(state),
        ViewId::Key => key::exported(state),
        ViewId::Agent => agent::facts(state),
        ViewId::Request => request::facts(state),
        ViewId::AuditRow => audit_row::facts(state),
        ViewId::Services => services::facts(state),
        _ => Vec::new(),
    }
}
