//! The manual page, made from the command line and the keymap: `UPDATE_DOCS=1 cargo test --test manual` writes
//! it anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use cmp_console::cli::console::command;
use cmp_console::state::keymap::{Group, Keymap};
use cmp_console::state::typed;

fn page() -> String {
    let man = Man::new(command()).manual("User Commands").date("");
    let mut page = Vec::new();
    man.render_title(&mut page).unwrap();
    man.render_name_section(&mut page).unwrap();
    man.render_synopsis_section(&mut page).unwrap();
    man.render_description_section(&mut page).unwrap();
    man.render_options_section(&mut page).unwrap();
    man.render_subcommands_section(&mut page).unwrap();
    let mut roff = Roff::new();
    roff.control("SH", ["KEYS"]);
    roff.text([roman(
        "Other keys can be set by the commands' names in the configuration, under [keys].",
    )]);
    let keymap = Keymap::default();
    for group in Group::ALL {
        roff.control("SS", [group.title()]);
        for row in keymap.rows().iter().filter(|row| row.group == group) {
            roff.control("TP", []);
            roff.text([bold(row.keys.join(", ")), roman(format!(" ({})", row.name))]);
            roff.text([roman(row.what)]);
        }
    }
    roff.control("SH", ["COMMANDS"]);
    roff.text([roman(
        "Typed after a colon, beside every command above by its name.",
    )]);
    for usage in typed::ALL {
        roff.control("TP", []);
        roff.text([bold(usage.name), roman(format!(" {}", usage.arguments))]);
        roff.text([roman(usage.what)]);
    }
    roff.control("SH", ["ENVIRONMENT"]);
    for (name, what) in [
        (
            "CMP_TOKEN",
            "the API token, unless the context says where it comes from",
        ),
        (
            "VAULT_TOKEN",
            "the Vault token, unless the context says where it comes from",
        ),
        (
            "VAULT_ROLE_ID, VAULT_SECRET_ID",
            "AppRole's ids at Vault, used instead of a token where both are set",
        ),
        ("NO_COLOR", "no colours, if set to anything"),
        ("COLORTERM, TERM", "how many colours the terminal has"),
        (
            "LC_ALL, LC_CTYPE, LANG",
            "plain ASCII where none of them is UTF-8",
        ),
    ] {
        roff.control("TP", []);
        roff.text([bold(name)]);
        roff.text([roman(what)]);
    }
    roff.control("SH", ["FILES"]);
    for (path, what) in [
        ("~/.config/cmp-console/config.toml", "contexts, look and keys"),
        (
            "~/.local/state/cmp-console",
            "log, panic reports, exports, saved views, the local journal of runs",
        ),
    ] {
        roff.control("TP", []);
        roff.text([bold(path)]);
        roff.text([roman(what)]);
    }
    roff.control("SH", ["EXIT STATUS"]);
    roff.text([roman(
        "0 done, 1 it did not work, 2 wrong usage or configuration.",
    )]);
    page.extend(roff.to_roff().into_bytes());
    String::from_utf8(page).unwrap()
}

#[test]
fn the_manual_is_what_the_program_does() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cmp-console.1");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page,
        "docs/cmp-console.1 is not what the program does: UPDATE_DOCS=1 cargo test --test manual"
    );
    for word in ["revoke", "unlock", "history\\-back", "\\-\\-read\\-only"] {
        assert!(page.contains(word), "{word}");
    }
}
