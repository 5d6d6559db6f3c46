//! Looks of the console, where the terminal alone can't tell.

use serde::Deserialize;

/// Set of colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Colours {
    /// The sixteen colours that every terminal has, so that its own theme decides how they look, on light
    /// ground and on dark.
    #[default]
    Sixteen,
    /// Tuned for dark ground, in full colour where the terminal has it.
    Dark,
    /// Tuned for light ground, in full colour where the terminal has it.
    Light,
    /// Blue for good, orange for soon, vermilion for broken, from the 256: told apart by who can't tell
    /// green from red (after Okabe and Ito).
    Safe,
    /// None (`NO_COLOR`).
    Mono,
}

/// Rule for taking the link to the terminal for slow: then the console draws plainer and less often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlowLink {
    /// By measurement.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Look of the console, where the terminal alone can't tell. A field that isn't set is as the file's `[look]` has
/// it, or as the environment does.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookConfig {
    /// Set of colours; `NO_COLOR` in the environment is stronger.
    pub colours: Option<Colours>,
    /// Plain ASCII only; otherwise where the locale isn't UTF-8.
    pub ascii: Option<bool>,
    /// Rule for taking the link for slow.
    pub slow_link: Option<SlowLink>,
}

impl LookConfig {
    /// This, and where it says nothing `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            colours: self.colours.or(other.colours),
            ascii: self.ascii.or(other.ascii),
            slow_link: self.slow_link.or(other.slow_link),
        }
    }
}
