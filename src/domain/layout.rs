//! Layouts of the files that an agent writes and servers read.

use serde::Deserialize;

/// File that a server finds at the path that a certificate is installed at, here `site.pem`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// The certificate and its intermediates in order, as nginx, Apache and most others read them; the key in
    /// `site.key`.
    #[default]
    FullChain,
    /// The certificate alone, for servers that are told of `site.chain.pem` too; the key in `site.key`.
    Separate,
    /// Certificate, intermediates and key in one file, as HAProxy reads them; nothing beside it.
    Combined,
}

impl Layout {
    /// The word of the configuration, of reports and of the database.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::FullChain => "full-chain",
            Self::Separate => "separate",
            Self::Combined => "combined",
        }
    }

    /// Back from the word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::FullChain, Self::Separate, Self::Combined]
            .into_iter()
            .find(|layout| layout.word() == word)
    }

    /// The file at the path has the intermediates that a server has to send.
    #[must_use]
    pub fn has_chain(self) -> bool {
        self != Self::Separate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_that_of_the_configuration() {
        for layout in [Layout::FullChain, Layout::Separate, Layout::Combined] {
            assert_eq!(Layout::from_word(layout.word()), Some(layout));
            let read: Layout = serde_json::from_value(serde_json::json!(layout.word())).unwrap();
            assert_eq!(read, layout);
        }
        assert_eq!(Layout::from_word("sideways"), None);
    }
}
