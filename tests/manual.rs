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
    let mut roff = Roff::new();
    roff.control("SH", ["SUBCOMMANDS"]);
    let mut command = command();
    command.build();
    subcommands(&command, &mut roff);
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

/// All that can be called, with the options of each: they have no pages of their own.
fn subcommands(of: &clap::Command, roff: &mut Roff) {
    for command in of
        .get_subcommands()
        .filter(|it| !it.is_hide_set() && it.get_name() != "help")
    {
        if command.has_subcommands() {
            subcommands(command, roff);
            continue;
        }
        let name = command.get_bin_name().unwrap().to_owned();
        roff.control("SS", [name.as_str()]);
        roff.text([roman(command.get_about().unwrap().to_string())]);
        let own =
            |it: &&clap::Arg| !it.is_global_set() && !["help", "version"].contains(&it.get_id().as_str());
        for option in command.get_arguments().filter(own) {
            let value = option.get_value_names().map(|names| names[0].to_string());
            let value = value.filter(|_| option.get_action().takes_values());
            let value = value.map_or(String::new(), |name| format!(" {name}"));
            roff.control("TP", []);
            roff.text([bold(format!("--{}", option.get_long().unwrap())), roman(value)]);
            roff.text([roman(option.get_help().unwrap().to_string())]);
        }
    }
}

#[test]
fn demo_offers_only_what_it_takes() {
    let mut command = command();
    command.build();
    let demo = command.find_subcommand("demo").unwrap();
    let offered: Vec<&str> = demo.get_arguments().filter_map(clap::Arg::get_long).collect();
    assert!(
        !offered.contains(&"context"),
        "the demo is a context of its own: {offered:?}"
    );
    assert!(
        offered.contains(&"config") && offered.contains(&"headless"),
        "{offered:?}"
    );
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
    // A page that is named and isn't there leads nowhere.
    let named: Vec<&str> = page
        .lines()
        .filter(|line| line.contains("(1)") || line.contains("(5)"))
        .collect();
    assert!(named.is_empty(), "{named:?}");
    for word in [
        "cmp-console demo",
        "revoke",
        "unlock",
        "history\\-back",
        "\\-\\-read\\-only",
    ] {
        assert!(page.contains(word), "{word}");
    }
}
