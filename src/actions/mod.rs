//! The registry of everything an operator can start: one file an operation, its entry in [`ALL`].
//! From the entry come key, clash check, help, availability, read-only rule and the tests over all
//! actions. Confirmation and execution are not an action's business (`plan/`).

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;

use crate::domain::follows::Follows;
use crate::domain::id::EntityKind;
use crate::domain::link::LinkState;
use crate::domain::role::Role;
use crate::plan::plan::{Inputs, Plan, Target};
use crate::plan::ports::Reads;
use crate::plan::record;
use crate::plan::step::Step;
use crate::plan::tier::Harm;
use crate::problem::Problem;

mod by_hand;
mod by_name;
mod cancel_request;
mod fewer_names;
mod force_checkin;
mod in_the_way;
mod install_certificate;
mod installable;
mod newer;
mod old_certificates;
mod one_address;
mod own_place;
mod reissue_certificate;
mod revocation_reach;
mod revoke_certificate;
mod seen;
mod steps;
mod taking_part;
mod unban_agent;
mod unseal_vault;

pub use seen::{Refusal, Seen, SeenCertificate};

/// Every action, in the order of help.
pub static ALL: &[&dyn Action] = &[
    &revoke_certificate::RevokeCertificate,
    &reissue_certificate::ReissueCertificate,
    &install_certificate::InstallCertificate,
    &force_checkin::ForceCheckin,
    &cancel_request::CancelRequest,
    &unban_agent::UnbanAgent,
    &unseal_vault::UnsealVault,
];

/// What an action says of itself.
#[derive(Debug)]
pub struct Spec {
    /// Its name in plans, findings and on the command line.
    pub id: &'static str,
    /// What it does, at most 24 columns, no period.
    pub title: &'static str,
    /// Beginning of the titles of its plans: the name of what it works on follows.
    pub verb: &'static str,
    /// The key that starts it.
    pub key: &'static str,
    /// What it works on, the preferred sort first.
    pub kinds: &'static [EntityKind],
    /// One sentence for help, no period.
    pub help: &'static str,
    /// Proof that it gives where nothing stands against that, no period.
    pub proof: &'static str,
    /// The change that each of its things has in the platform's audit once it is done; none where it changes nothing
    /// there, so that the platform can't know.
    pub leaves: Option<Leaves>,
}

/// Audit rows of an action's changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// A row of this verb about the thing.
    About(&'static str, Follows),
    /// A row of this verb whose details begin with the sort and the id of the thing.
    Naming(&'static str, Follows),
}

impl Leaves {
    /// The row's verb.
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Self::About(verb, _) | Self::Naming(verb, _) => verb,
        }
    }

    /// Consequence that has to come about after the row.
    #[must_use]
    pub fn follows(self) -> Follows {
        match self {
            Self::About(_, follows) | Self::Naming(_, follows) => follows,
        }
    }

    /// Id of the thing of this sort that a row is of, which is about this and has these details; none where it is of
    /// another sort.
    #[must_use]
    pub fn thing<'a>(self, kind: EntityKind, about: &'a str, detail: Option<&'a str>) -> Option<&'a str> {
        match self {
            Self::About(..) => Some(about),
            Self::Naming(..) => {
                let mut words = detail?.split(' ');
                words.next().filter(|word| *word == kind.word())?;
                words.next()
            }
        }
    }
}

impl Spec {
    /// Audit rows of what is sent under the key of one of its runs: the change that it leaves, or, where it leaves none, what
    /// the API does by its name.
    #[must_use]
    pub fn sends(&self) -> Leaves {
        self.leaves.unwrap_or(Leaves::About(self.id, Follows::Nothing))
    }

    /// Title of the action on these things, before there is a plan that has one: `Revoke shop.example.com`.
    #[must_use]
    pub fn on(&self, things: &[Target]) -> String {
        match (self.verb, things) {
            (verb, [one]) if one.kind == EntityKind::Request => {
                format!("{verb} the request for {}", one.name)
            }
            (verb, [one]) => format!("{verb} {}", one.name),
            (_, []) => self.title.to_owned(),
            (verb, many) => format!("{verb} {} {}s", many.len(), many[0].kind.word()),
        }
    }
}

/// What is known of the backends when availability is asked for; pure data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The moment that the screen shows.
    pub now: DateTime<Utc>,
    /// Why changes are forbidden in this context now, if they are.
    pub forbidden: Option<&'static str>,
    /// How the database is divided, if it is: then nothing is changed in it.
    pub divided: Option<&'static str>,
    /// What the console's token may do, once known.
    pub role: Option<Role>,
    /// How the API answers.
    pub api: LinkState,
    /// How the API's database answers it.
    pub api_database: LinkState,
    /// How Vault answers; sealed is `Degraded`.
    pub vault: LinkState,
    /// Vault says that it is sealed.
    pub vault_sealed: bool,
}

/// Whether an action can be started now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It can.
    Ready,
    /// It can't, and why, in a few words.
    Disabled(String),
}

/// One operation that an operator can start.
pub trait Action: Sync {
    /// What it says of itself.
    fn spec(&self) -> &'static Spec;

    /// The backends' yes or no to starting it at all, asked for every frame: pure and cheap.
    fn available(&self, facts: &Facts) -> Availability;

    /// Refusal for this thing by what is known of it; none where it can be done, or where only its plan knows. Asked for
    /// every frame: pure and cheap.
    fn refuses(&self, on: &Seen<'_>, now: DateTime<Utc>) -> Option<Refusal>;

    /// What it would do, by real reads and no writes.
    fn plan<'a>(
        &'a self,
        on: Vec<Target>,
        inputs: Inputs,
        with: &'a Reads,
    ) -> BoxFuture<'a, Result<Plan, Problem>>;

    /// The proof of this plan in words, by the steps that it has; no period.
    fn proof(&self, _plan: &Plan) -> String {
        self.spec().proof.to_owned()
    }

    /// The code that its plans' steps name.
    fn steps(&self) -> &'static [&'static dyn Step];
}

/// The action with this id.
#[must_use]
pub fn find(id: &str) -> Option<&'static dyn Action> {
    ALL.iter().copied().find(|action| action.spec().id == id)
}

/// The worst that one of the action's steps can do.
#[must_use]
pub fn harm(action: &dyn Action) -> Harm {
    let harms = action.steps().iter().map(|step| step.harm());
    harms.max().unwrap_or(Harm::None)
}

/// The step with this name, among all actions.
#[must_use]
pub fn find_step(name: &str) -> Option<&'static dyn Step> {
    ALL.iter()
        .flat_map(|action| action.steps())
        .copied()
        .find(|step| step.name() == name)
}

/// What `action` would do to these things, if one run can do it at all.
///
/// # Errors
/// It can't be planned, or its record would not be taken.
pub async fn plan(
    action: &'static dyn Action,
    on: Vec<Target>,
    inputs: Inputs,
    with: &Reads,
) -> Result<Plan, Problem> {
    let plan = action.plan(on, inputs, with).await?;
    record::fits(&plan)?;
    Ok(plan)
}

/// A plan as it would be now, for whoever wants to know whether it still holds.
#[must_use]
pub fn plan_again<'a>(plan: &'a Plan, with: &'a Reads) -> BoxFuture<'a, Result<Plan, Problem>> {
    let inputs: Inputs = plan
        .fields
        .iter()
        .map(|field| (field.name.clone(), field.value.clone()))
        .collect();
    match find(&plan.action) {
        Some(action) => action.plan(plan.targets.clone(), inputs, with),
        None => Box::pin(async move {
            Err(Problem::internal(format!(
                "no action is called `{}`",
                plan.action
            )))
        }),
    }
}

/// Availability of `action` for `on`: the rules that hold for all, then its own. Of several things one that it can be
/// done to is enough: the plan counts and names the others.
#[must_use]
pub fn availability(action: &dyn Action, on: &[Seen<'_>], facts: &Facts) -> Availability {
    if let Some(why) = facts.forbidden {
        return Availability::Disabled(why.to_owned());
    }
    if facts.role.is_some_and(|role| !role.may_operate()) {
        return Availability::Disabled("your token may only read".to_owned());
    }
    if let Some(why) = facts.divided.filter(|_| needs_database(action)) {
        return Availability::Disabled(why.to_owned());
    }
    if on.is_empty() {
        let kind = action.spec().kinds.first().map_or("thing", |kind| kind.word());
        let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) {
            "an"
        } else {
            "a"
        };
        return Availability::Disabled(format!("select {article} {kind} first"));
    }
    if let disabled @ Availability::Disabled(_) = action.available(facts) {
        return disabled;
    }
    let refusals: Option<Vec<Refusal>> = on.iter().map(|it| action.refuses(it, facts.now)).collect();
    refusals.map_or(Availability::Ready, |all| {
        Availability::Disabled(seen::in_words(&all))
    })
}

/// Whether what it works on is kept in the database: Vault is its own.
fn needs_database(action: &dyn Action) -> bool {
    action.spec().kinds.iter().any(|kind| *kind != EntityKind::Vault)
}

/// The things among `candidates` that `action` works on: all of its most preferred sort that is there,
/// each once, though several marked rows may be about the same thing.
#[must_use]
pub fn fitting(action: &dyn Action, candidates: &[Target]) -> Vec<Target> {
    for kind in action.spec().kinds {
        let mut fit: Vec<Target> = Vec::new();
        for target in candidates.iter().filter(|target| target.kind == *kind) {
            if !fit.iter().any(|other| other.id == target.id) {
                fit.push(target.clone());
            }
        }
        if !fit.is_empty() {
            return fit;
        }
    }
    Vec::new()
}

fn needs_api(facts: &Facts) -> Option<Availability> {
    let why = match (facts.api, facts.api_database) {
        (LinkState::Down, _) => "the API does not answer",
        (_, LinkState::Down) => "the API's database does not answer",
        _ => return None,
    };
    Some(Availability::Disabled(why.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_keys_and_step_names_are_unique_and_titles_are_short() {
        let mut seen = BTreeSet::new();
        for action in ALL {
            let spec = action.spec();
            assert!(
                seen.insert(spec.id) && seen.insert(spec.key),
                "{} clashes",
                spec.id
            );
            assert!(spec.title.chars().count() <= 24, "{}", spec.title);
            for text in [spec.title, spec.help, spec.proof] {
                assert!(!text.ends_with('.') && !text.is_empty(), "{text}");
            }
            for step in action.steps() {
                assert!(find_step(step.name()).is_some_and(|found| found.name() == step.name()));
            }
        }
    }

    #[test]
    fn nothing_irreversible_sits_on_the_end_of_an_escape_sequence() {
        // A split escape sequence ends in one of these letters (design §5).
        for action in ALL.iter().filter(|action| harm(**action) >= Harm::Shares) {
            assert!(
                !"[]ABCDFHOPQRS~".contains(action.spec().key),
                "{}",
                action.spec().id
            );
        }
    }

    #[test]
    fn a_divided_database_disables_all_but_what_needs_none() {
        let facts = Facts {
            now: DateTime::UNIX_EPOCH,
            forbidden: None,
            divided: Some("two databases take changes"),
            role: Some(Role::Admin),
            api: LinkState::Up,
            api_database: LinkState::Up,
            vault: LinkState::Up,
            vault_sealed: true,
        };
        let why = Availability::Disabled("two databases take changes".to_owned());
        for action in ALL {
            let spec = action.spec();
            let is_refused = availability(*action, &[], &facts) == why;
            assert_eq!(is_refused, spec.id != "unseal", "{}", spec.id);
        }
    }

    #[test]
    fn read_only_disables_every_action() {
        let facts = Facts {
            now: DateTime::UNIX_EPOCH,
            forbidden: Some("this context is read-only"),
            divided: None,
            role: Some(Role::Admin),
            api: LinkState::Up,
            api_database: LinkState::Up,
            vault: LinkState::Up,
            vault_sealed: false,
        };
        let writable = Facts {
            forbidden: None,
            ..facts
        };
        for action in ALL {
            let spec = action.spec();
            let on = [Seen::Unknown];
            let why = Availability::Disabled("this context is read-only".to_owned());
            assert_eq!(availability(*action, &on, &facts), why, "{}", spec.id);
            // It is the context and nothing else that forbids it.
            assert_ne!(availability(*action, &on, &writable), why, "{}", spec.id);
        }
    }
}
