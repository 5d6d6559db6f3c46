//! What the units may do on their hosts, as systemd itself judges it.

use std::process::Command;

use cmp_console::config::agent::AgentConfig;

use crate::unit::{UNITS, Unit, named_credentials};
use crate::{deployed, skipped, text};

/// Tenths: up to 2.9 `systemd-analyze security` says OK; this is what they are at.
const EXPOSURE: &str = "12";

#[test]
fn every_unit_runs_as_a_user_without_rights() {
    let users = text("systemd/cmp.sysusers");
    for name in UNITS {
        let unit = Unit::read(name);
        let user = unit.one("User");
        assert!(
            users
                .lines()
                .any(|line| line.split_whitespace().nth(1) == Some(user)),
            "{name}: {user} is made by nobody"
        );
        assert_eq!(unit.one("CapabilityBoundingSet"), "");
        assert_eq!(unit.one("AmbientCapabilities"), "");
        assert_eq!(unit.one("NoNewPrivileges"), "yes");
        assert_eq!((unit.one("LimitCORE"), unit.one("MemorySwapMax")), ("0", "0"));
        assert_eq!(unit.one("Type"), "notify");
        let seed = text(&format!("config/{name}.toml"));
        assert_eq!(
            unit.command()[1..],
            ["--config", &format!("/etc/cmp/{name}.toml")]
        );
        let (mut asked, mut given) = (named_credentials(&seed), unit.credentials());
        asked.sort_unstable();
        given.sort_unstable();
        assert_eq!(asked, given, "{name}");
    }
}

#[test]
fn the_agent_may_write_where_it_may_install() {
    let config = AgentConfig::load(&deployed("config/cmp-agent.toml")).unwrap();
    let unit = Unit::read("cmp-agent");
    let made = text("systemd/cmp.tmpfiles");
    for dir in &config.install_dirs {
        let dir = dir.display().to_string();
        assert!(unit.all("ReadWritePaths").contains(&dir.as_str()), "{dir}");
        assert!(
            made.lines()
                .any(|line| line.contains(&format!("{dir} ")) && line.contains("cmp-agent"))
        );
    }
    let reload = config.reload.unwrap();
    assert_eq!(reload[..2], ["systemctl", "reload"]);
    assert!(text("systemd/cmp-agent.rules").contains(&format!("\"{}.service\"", reload[2])));
}

#[test]
fn systemd_finds_nothing_wrong_and_little_exposed() {
    if skipped("systemd-analyze") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for name in UNITS {
        // The programs aren't installed here.
        let file = dir.path().join(format!("{name}.service"));
        let unit = text(&format!("systemd/{name}.service"))
            .replace("/usr/bin/cmp-server", env!("CARGO_BIN_EXE_cmp-server"))
            .replace("/usr/bin/cmp-agent", env!("CARGO_BIN_EXE_cmp-agent"));
        std::fs::write(&file, unit).unwrap();
        let analyze = |arguments: &[&str]| {
            let mut command = Command::new("systemd-analyze");
            let output = command.args(arguments).arg(&file).output().unwrap();
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            (output.status.success(), said)
        };
        let (fine, said) = analyze(&["verify", "--man=no", "--recursive-errors=no"]);
        assert!(fine && !said.contains(name), "{name}: {said}");
        let security = [
            "security",
            "--offline=true",
            "--no-pager",
            "--threshold",
            EXPOSURE,
        ];
        let (fine, said) = analyze(&security);
        assert!(fine && said.contains(" OK "), "{name}: {said}");
    }
}
