//! The tier of a plan, and with it what a person must do before it runs. It follows the plan's reach: the harm
//! that its steps can do, to how many things and on how many hosts. It is worked out here, from the steps that
//! will be carried out, so that an action can't understate it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::plan::{Plan, PlannedStep};

/// Up to so many things are touched without anybody being asked, if no harm comes of it.
const HARMLESS_THINGS: usize = 4;
/// Up to so many things change by one `y`.
const FEW_THINGS: usize = 9;
/// Up to so many hosts change by one `y`.
const FEW_HOSTS: usize = 3;

/// The worst that one step can do. Each registered step says it of itself; the executor refuses a plan in which
/// it is written otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Harm {
    /// It looks, or asks somebody to look: nothing that anybody relies on changes.
    None,
    /// It takes shares, which nobody types by mistake.
    Shares,
    /// Keys, files or records change. What was there before can be had again.
    Changes,
    /// Something older takes the place of what is newer, which is mostly a mistake. The newer can be had again.
    Backward,
    /// It can't be undone.
    Final,
}

/// The reach of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The worst that one of its steps can do.
    pub harm: Harm,
    /// The things that it is about.
    pub things: usize,
    /// Those of them to which something is done that can't be undone, or is mostly a mistake.
    pub grave: usize,
    /// The hosts on which something changes.
    pub hosts: usize,
}

/// Who confirms where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InContext<'a> {
    /// The context's name.
    pub name: &'a str,
    /// It is one to be careful with: each tier asks for more.
    pub protected: bool,
}

/// What follows from a reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Harmless, and few things.
    Harmless,
    /// Shares are typed, which is more than any confirmation.
    Shares,
    /// Changes on a few things and hosts, or something harmless to many.
    Contained,
    /// One thing that goes back to what is older.
    Backward,
    /// One thing that can't be undone.
    Irreversible,
    /// Many things or hosts, or several things that can't be undone or go back.
    Sweeping,
}

/// What a person must do before a plan runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Nothing.
    Nothing,
    /// Press `y`.
    Yes,
    /// Type this.
    Type(String),
}

impl Ask {
    /// Whether `typed` is what is asked for. Spaces don't count.
    #[must_use]
    pub fn is_met_by(&self, typed: &str) -> bool {
        let letters = |text: &str| -> String { text.split_whitespace().collect() };
        matches!(self, Self::Type(wanted) if !letters(wanted).is_empty() && letters(wanted) == letters(typed))
    }
}

impl Reach {
    /// The reach of `plan`, from its steps and targets.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let harms = |step: &&PlannedStep| step.harm >= Harm::Changes;
        let grave = plan.steps.iter().filter(|step| step.harm >= Harm::Backward);
        let hosts = plan.steps.iter().filter(harms).flat_map(|step| &step.hosts);
        Self {
            harm: plan
                .steps
                .iter()
                .map(|step| step.harm)
                .max()
                .unwrap_or(Harm::None),
            things: plan.targets.len(),
            grave: grave.map(|step| step.target).collect::<BTreeSet<_>>().len(),
            hosts: hosts.collect::<BTreeSet<_>>().len(),
        }
    }

    /// Reach before there is a plan, for `things` and an action of which one step does this harm.
    #[must_use]
    pub fn before_planning(harm: Harm, things: usize) -> Self {
        Self {
            harm,
            things,
            grave: if harm >= Harm::Backward { things } else { 0 },
            hosts: 0,
        }
    }

    /// The tier that follows from it.
    #[must_use]
    pub fn tier(self) -> Tier {
        let many = self.things > FEW_THINGS || self.hosts > FEW_HOSTS;
        match self.harm {
            Harm::None if self.things <= HARMLESS_THINGS => Tier::Harmless,
            Harm::None => Tier::Contained,
            Harm::Shares => Tier::Shares,
            Harm::Changes if !many => Tier::Contained,
            Harm::Backward if !many && self.grave <= 1 => Tier::Backward,
            Harm::Final if !many && self.grave <= 1 => Tier::Irreversible,
            Harm::Changes | Harm::Backward | Harm::Final => Tier::Sweeping,
        }
    }

    /// Confirmation that is asked for in `context`. `phrase` names the one thing that can't be undone or goes back. A protected context
    /// asks for more at each tier, and for its name wherever something is changed.
    #[must_use]
    pub fn asks(self, context: InContext<'_>, phrase: &str) -> Ask {
        let tier = self.tier();
        let counted = || Ask::Type(format!("{} {}", self.things, context.name));
        match (tier, context.protected) {
            (Tier::Harmless, false) | (Tier::Shares, _) => Ask::Nothing,
            (Tier::Harmless, true) | (Tier::Contained, false) => Ask::Yes,
            (Tier::Contained, true) | (Tier::Sweeping, _) => counted(),
            // Nothing to type would be typed by a bare Enter.
            (Tier::Backward | Tier::Irreversible, _) if phrase.trim().is_empty() => counted(),
            (Tier::Backward | Tier::Irreversible, false) => Ask::Type(phrase.to_owned()),
            (Tier::Backward | Tier::Irreversible, true) => Ask::Type(format!("{phrase} {}", context.name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMO: InContext<'_> = InContext {
        name: "demo",
        protected: false,
    };
    const PROD: InContext<'_> = InContext {
        name: "prod-eu",
        protected: true,
    };

    fn reach(harm: Harm, things: usize, hosts: usize) -> Reach {
        Reach {
            hosts,
            ..Reach::before_planning(harm, things)
        }
    }

    fn typed(text: &str) -> Ask {
        Ask::Type(text.to_owned())
    }

    #[test]
    fn what_is_asked_follows_the_reach() {
        let cases = [
            (reach(Harm::None, 1, 0), Ask::Nothing, Ask::Yes),
            (reach(Harm::None, 4, 4), Ask::Nothing, Ask::Yes),
            (reach(Harm::None, 5, 5), Ask::Yes, typed("5 prod-eu")),
            (reach(Harm::None, 200, 200), Ask::Yes, typed("200 prod-eu")),
            (reach(Harm::Shares, 1, 0), Ask::Nothing, Ask::Nothing),
            (reach(Harm::Changes, 1, 1), Ask::Yes, typed("1 prod-eu")),
            (reach(Harm::Changes, 9, 3), Ask::Yes, typed("9 prod-eu")),
            (reach(Harm::Changes, 10, 1), typed("10 demo"), typed("10 prod-eu")),
            (reach(Harm::Changes, 1, 4), typed("1 demo"), typed("1 prod-eu")),
            (reach(Harm::Backward, 1, 1), typed("f973"), typed("f973 prod-eu")),
            (reach(Harm::Backward, 2, 1), typed("2 demo"), typed("2 prod-eu")),
            (reach(Harm::Final, 1, 1), typed("f973"), typed("f973 prod-eu")),
            (reach(Harm::Final, 1, 4), typed("1 demo"), typed("1 prod-eu")),
            (reach(Harm::Final, 2, 1), typed("2 demo"), typed("2 prod-eu")),
        ];
        for (reach, demo, prod) in cases {
            assert_eq!(reach.asks(DEMO, "f973"), demo, "{reach:?}");
            assert_eq!(reach.asks(PROD, "f973"), prod, "{reach:?}");
        }
    }

    #[test]
    fn a_protected_context_never_asks_for_less() {
        let weight = |ask: &Ask| match ask {
            Ask::Nothing => 0,
            Ask::Yes => 1,
            Ask::Type(_) => 2,
        };
        for harm in [Harm::None, Harm::Changes, Harm::Backward, Harm::Final] {
            for things in 0..12 {
                for hosts in 0..6 {
                    let reach = reach(harm, things, hosts);
                    let (open, protected) = (reach.asks(DEMO, "f973"), reach.asks(PROD, "f973"));
                    assert!(weight(&protected) >= weight(&open), "{reach:?}");
                    assert_ne!(protected, Ask::Nothing, "{reach:?}");
                }
            }
        }
    }

    #[test]
    fn more_things_more_hosts_and_more_harm_never_ask_for_less() {
        for harm in [Harm::None, Harm::Changes, Harm::Backward, Harm::Final] {
            for things in 0..12 {
                for hosts in 0..6 {
                    let tier = reach(harm, things, hosts).tier();
                    assert!(reach(harm, things + 1, hosts).tier() >= tier);
                    assert!(reach(harm, things, hosts + 1).tier() >= tier);
                }
            }
        }
        assert!(reach(Harm::Changes, 1, 1).tier() > reach(Harm::None, 1, 1).tier());
        assert!(reach(Harm::Final, 1, 1).tier() > reach(Harm::Changes, 1, 1).tier());
    }

    #[test]
    fn spaces_do_not_count_and_nothing_confirms_nothing() {
        let ask = typed("56 demo");
        for good in ["56 demo", "56demo", " 5 6 demo "] {
            assert!(ask.is_met_by(good), "{good}");
        }
        for bad in ["", " ", "56", "demo", "56 Demo", "57 demo", "156 demo"] {
            assert!(!ask.is_met_by(bad), "{bad}");
        }
        assert!(!typed("").is_met_by(""));
        assert!(!Ask::Yes.is_met_by("y"));
        assert_eq!(reach(Harm::Final, 1, 1).asks(DEMO, " "), typed("1 demo"));
    }
}
