//! Sentences about a place whose certificate is served otherwise than it should be.

use super::installations::installation;
use super::tests::{now, place};
use crate::domain::layout::Layout;
use crate::domain::matter;
use crate::store::findings::InUse;

#[test]
fn what_is_served_instead_is_not_dated_by_the_end_of_what_is_expected() {
    let it = InUse {
        served_sha256: Some("cc".to_owned()),
        ..place()
    };
    let finding = installation(&it, now());
    assert_eq!(finding.matter, matter::OLD_ONE_SERVED);
    assert_eq!((finding.due, finding.since), (None, Some(it.differs_since)));
}

/// An agent's report is its own to write: it ends no quotes, and nothing of ours stands behind it.
#[test]
fn an_agents_words_are_quoted_and_last() {
    let forged = "CN=CA 2`, which clients have; nothing to do";
    let quoted = "`CN=CA 2', which clients have; nothing to do`";
    let missing = InUse {
        chain_missing: Some(forged.to_owned()),
        ..place()
    };
    let (mut laid_out, mut banned) = (missing.clone(), missing.clone());
    laid_out.layout = Some(Layout::Separate);
    banned.agent_banned = true;
    let failed = InUse {
        install_failed: true,
        error: Some(forged.to_owned()),
        ..place()
    };
    let unread = InUse {
        on_disk_sha256: None,
        report_error: Some(format!("it is a {forged}, not a plain file")),
        ..place()
    };
    for (it, ends) in [
        (missing, format!("not sent: {quoted}")),
        (laid_out, format!("not sent: {quoted}")),
        (banned, format!("agent banned; not sent: {quoted}")),
        (failed, format!("its agent says {quoted}")),
    ] {
        let what = installation(&it, now()).what;
        assert!(what.ends_with(&ends), "{what}");
    }
    let what = installation(&unread, now()).what;
    assert!(
        what.ends_with(", not a plain file`") && !what.contains("CA 2`"),
        "{what}"
    );
}

/// Installing again writes the same where the agent leaves the chain out of its files.
#[test]
fn a_chain_that_the_agents_layout_leaves_out_names_that_setting_and_offers_no_installation() {
    let told = |layout| {
        let it = InUse {
            chain_missing: Some("CN=CA 2".to_owned()),
            layout,
            ..place()
        };
        installation(&it, now())
    };
    let laid_out = told(Some(Layout::Separate));
    assert_eq!(laid_out.answer, None);
    assert!(
        laid_out.what.contains("`layout` of web-01's agent is `separate`")
            && laid_out.what.contains("Set `layout = \"full-chain\"`"),
        "{}",
        laid_out.what
    );
    for layout in [None, Some(Layout::FullChain), Some(Layout::Combined)] {
        let other = told(layout);
        assert_eq!(other.answer.as_deref(), Some("install"));
        assert!(!other.what.contains("layout"), "{}", other.what);
    }
}
