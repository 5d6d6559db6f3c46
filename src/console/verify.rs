//! Verify: what is on record against what is so now, by handshakes and the published CRL of this console's
//! own. It changes nothing, so it needs no plan and works read-only.

use super::lists;
use crate::domain::id::EntityKind;
use crate::domain::installation::Installation;
use crate::state::effect::Effect;
use crate::state::query::{Answer, Query};
use crate::state::screen::{Place, ViewId};
use crate::state::served::{Endpoint, Handshake};
use crate::state::{Looked, State, Tone};
use crate::views;

/// Handshakes at once.
const AT_ONCE: usize = 20;

/// Goes to where the certificate, key or agent with the cursor is seen whole, and looks at everything anew.
pub(super) fn begin(state: &mut State, effects: &mut Vec<Effect>) {
    if !matches!(
        state.place().view,
        ViewId::Key | ViewId::Certificate | ViewId::Agent
    ) {
        let selected = views::selected(state);
        let of = |kind| selected.iter().find(|target| target.kind == kind);
        let place = match (of(EntityKind::Certificate), of(EntityKind::Agent)) {
            (Some(certificate), _) => (ViewId::Certificate, certificate.id.clone()),
            (None, Some(agent)) => (ViewId::Agent, agent.id.clone()),
            (None, None) => return state.say(Tone::Plain, "select a certificate or an agent first"),
        };
        lists::go(
            state,
            Place {
                view: place.0,
                subject: Some(place.1),
            },
        );
    }
    state.handshakes.clear();
    if state.context.vault.is_none() {
        return state.say(Tone::Plain, "looking now: a handshake wherever it is installed");
    }
    state.say(
        Tone::Plain,
        "looking now: a handshake wherever it is installed, and the CRL",
    );
    state.crl = Some(Looked {
        crl: None,
        at: state.now,
    });
    effects.push(Effect::FetchCrl);
}

/// Shakes hands wherever the thing on screen is installed: a few at once, and none twice until somebody asks.
pub(super) fn go_on(state: &mut State, effects: &mut Vec<Effect>) {
    let places = places(state).into_iter();
    let places = places.filter_map(|place| Some((Endpoint::of(place)?, place.expected_sha256.clone())));
    let is_made = |(endpoint, expected): &(Endpoint, String)| {
        let made = state.handshakes.get(endpoint);
        made.is_some_and(|made| made.served.is_none() || made.expected == *expected)
    };
    let mut due: Vec<(Endpoint, String)> = places.filter(|it| !is_made(it)).collect();
    due.sort();
    due.dedup_by(|one, other| one.0 == other.0);
    let under_way = state.handshakes.values().filter(|made| made.served.is_none());
    due.truncate(AT_ONCE.saturating_sub(under_way.count()));
    for (endpoint, expected) in due {
        let made = Handshake {
            served: None,
            expected,
            at: state.now,
        };
        state.handshakes.insert(endpoint.clone(), made);
        effects.push(Effect::Handshake(endpoint));
    }
}

/// The installations that the open screen shows.
fn places(state: &State) -> Vec<&Installation> {
    let place = state.place();
    let Some(id) = place.subject else {
        return Vec::new();
    };
    let query = match place.view {
        ViewId::Key => Query::Key(id),
        ViewId::Certificate => Query::Certificate(id),
        ViewId::Agent => Query::Agent(id),
        _ => return Vec::new(),
    };
    match state.answer(&query) {
        Some(Answer::Key(detail)) => detail.in_use().collect(),
        Some(Answer::Certificate(detail)) => detail.in_use().collect(),
        Some(Answer::Agent(detail)) => detail.installations.iter().collect(),
        _ => Vec::new(),
    }
}
