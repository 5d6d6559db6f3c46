//! What the backends are asked, and when: what the open screen needs and doesn't know, or no longer knows, and
//! what is remembered for when nobody answers. Who is asked, and how, is in `asking`.

use super::{cursor, live_filter};
use crate::domain::id::EntityKind;
use crate::domain::link::{Backend, LinkState};
use crate::problem::{Problem, ProblemKind};
use crate::state::State;
use crate::state::effect::Effect;
use crate::state::layer::Layer;
use crate::state::loaded::Loaded;
use crate::state::query::{Answer, ListQuery, Query};
use crate::state::run::Phase;
use crate::views;

/// Answers kept of screens that are not open.
const KEPT_ANSWERS: usize = 48;
/// Things in trouble that are known whole for the snapshot; fewer than the answers that are kept.
const REMEMBERED: usize = 20;

/// Whether what is on screen stays as it is: it is frozen, or something is being decided about it.
pub(super) fn is_held(state: &State) -> bool {
    let decides = |layer: &Layer| match layer {
        Layer::Run(layer) => state
            .run(&layer.run)
            .is_some_and(|run| matches!(run.phase, Phase::Planning | Phase::Planned)),
        Layer::NoFilter => false,
        _ => true,
    };
    state.frozen.is_some() || state.layers.iter().any(decides)
}

/// Marks answers that may be another one now.
pub(super) fn touch(state: &mut State, which: impl Fn(&Query) -> bool) {
    for (query, loaded) in &mut state.data {
        if which(query) {
            loaded.dirty = true;
        }
    }
}

/// Marks all answers of this context: another one's don't change with it.
pub(super) fn touch_own(state: &mut State) {
    touch(state, |query| query.neighbour().is_none());
}

/// Asks what the open screen needs and does not know, or no longer knows.
pub(super) fn ask(state: &mut State, effects: &mut Vec<Effect>) {
    if state.starting.is_some() || state.frozen.is_some() {
        return;
    }
    let held = is_held(state);
    let mut needs = (views::find(state.place().view).needs)(state);
    // The sealed Vault's finding names the requests that wait on it, and is shown whatever is open.
    needs.extend([Query::Findings, Query::OpenRequests]);
    needs.extend(live_filter::needs(state));
    if state.data.len() > KEPT_ANSWERS {
        state.data.retain(|query, _| needs.contains(query));
    }
    state.needed.clone_from(&needs);
    for query in needs {
        let loaded = state.data.entry(query.clone()).or_default();
        loaded.rows = loaded.rows.max(cursor::ROWS);
        if loaded.dirty && !loaded.waiting && !(held && loaded.value.is_some()) {
            put(loaded, query, effects);
        }
    }
}

/// Asks for what nobody has looked at yet, so that the snapshot has it when nobody answers: each list's
/// beginning, and whole what is in trouble, since where it is installed is what one needs to verify it.
pub(super) fn remember(state: &mut State, effects: &mut Vec<Effect>) {
    let in_trouble = state.findings();
    let details = in_trouble.into_iter().filter_map(|finding| match finding.entity {
        EntityKind::Certificate => Some(Query::Certificate(finding.entity_id)),
        EntityKind::Agent => Some(Query::Agent(finding.entity_id)),
        _ => None,
    });
    let lists = [Query::Certificates, Query::Agents, Query::Requests, Query::Audit];
    let lists = lists.map(|list| list(ListQuery::default()));
    for query in details.take(REMEMBERED).chain(lists) {
        let loaded = state.data.entry(query.clone()).or_default();
        loaded.rows = loaded.rows.max(cursor::ROWS);
        if loaded.value.is_none() && !loaded.waiting {
            put(loaded, query, effects);
        }
    }
}

/// Asks, and drops what comes to an older question.
fn put(loaded: &mut Loaded<Answer>, query: Query, effects: &mut Vec<Effect>) {
    loaded.dirty = false;
    loaded.waiting = true;
    loaded.asked += 1;
    effects.push(Effect::Ask {
        query,
        asked: loaded.asked,
        rows: loaded.rows,
    });
}

/// True if the API can answer the screen's question.
pub(super) fn can_read(state: &State) -> bool {
    state.link(Backend::Api) != LinkState::Down && state.api_database != LinkState::Down
}

/// Notes that an answer refuses this console's token, whatever was asked: the next look might be half a minute away.
pub(super) fn heed_refusal(state: &mut State, problem: &Problem, effects: &mut Vec<Effect>) {
    if problem.kind == ProblemKind::NotAuthenticated {
        state.token_refused = Some(problem.to_string());
        effects.push(Effect::CheckLinks);
    }
}
