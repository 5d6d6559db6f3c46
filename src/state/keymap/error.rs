//! Why a person's own keys can't be used, in words for the one who wrote them.

/// Why a person's own keys can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeymapError {
    /// No command is called so.
    #[error("`{name}` is no command; there are: {known}")]
    UnknownCommand {
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// No key is called so.
    #[error("`{key}`, for `{name}`, is no key; write a character, ctrl-x, or one of: {known}", known = super::key::NAMED.join(" "))]
    UnknownKey {
        /// The command.
        name: String,
        /// What was written.
        key: String,
    },
    /// One key would mean two things.
    #[error("`{key}` would mean both `{one}` and `{other}`")]
    Clash {
        /// The key.
        key: String,
        /// A command.
        one: &'static str,
        /// The other one.
        other: &'static str,
    },
    /// A broken escape sequence could press it.
    #[error(
        "`{key}` can't be the key for `{name}`, which can't be undone: on a bad link an escape sequence \
         that ends in it can press it"
    )]
    Unsafe {
        /// The command.
        name: &'static str,
        /// The key.
        key: String,
    },
    /// No terminal sends it so.
    #[error("`{key}`, for `{name}`, never comes from a terminal; write `{instead}`")]
    Never {
        /// The command.
        name: String,
        /// The key.
        key: String,
        /// What comes instead.
        instead: String,
    },
    /// It answers a plan.
    #[error("`{key}` can't be the key for `{name}`: a plan would be answered by the key that opened it")]
    Answers {
        /// The action.
        name: &'static str,
        /// The key.
        key: String,
    },
    /// It is typed into fields.
    #[error("`{key}` can't be the key for `{name}`: in a dialog it is typed into a field, or edits one")]
    Typed {
        /// The command.
        name: &'static str,
        /// The key.
        key: String,
    },
    /// Without it one could not get out.
    #[error("`{name}` needs a key")]
    Needed {
        /// The command.
        name: &'static str,
    },
}
