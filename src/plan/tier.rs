//! Tiers: how much harm an action can do, and what a person must do before it runs.

use serde::{Deserialize, Serialize};

/// How much harm an action can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Tier {
    /// 0: harmless.
    Harmless,
    /// 1: can be taken back.
    Reversible,
    /// 2: one thing that can't be taken back.
    Irreversible,
    /// 3: many things that can't be taken back, or everything.
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

impl Tier {
    /// What is asked for `n` things in `context`; `phrase` is what the action wants typed for one.
    #[must_use]
    pub fn asks(self, n: usize, context: &str, phrase: &str) -> Ask {
        match self {
            Self::Harmless => Ask::Nothing,
            Self::Reversible => Ask::Yes,
            Self::Irreversible => Ask::Type(phrase.to_owned()),
            Self::Sweeping => Ask::Type(format!("{n} {context}")),
        }
    }

    /// The tier for `n` things: what can't be taken back becomes sweeping when there are many.
    #[must_use]
    pub fn of_many(self, n: usize) -> Self {
        if self == Self::Irreversible && n > 1 {
            Self::Sweeping
        } else {
            self
        }
    }

    /// The words shown in the plan.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Harmless => "harmless",
            Self::Reversible => "can be taken back",
            Self::Irreversible => "CAN'T BE TAKEN BACK",
            Self::Sweeping => "MANY, CAN'T BE TAKEN BACK",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_irreversible_things_ask_for_count_and_context() {
        let tier = Tier::Irreversible.of_many(12);
        assert_eq!(
            tier.asks(12, "prod-eu", "4f2a"),
            Ask::Type("12 prod-eu".to_owned())
        );
        assert_eq!(
            Tier::Irreversible.of_many(1).asks(1, "prod-eu", "4f2a"),
            Ask::Type("4f2a".to_owned())
        );
        assert_eq!(Tier::Reversible.of_many(12), Tier::Reversible);
    }
}
