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
