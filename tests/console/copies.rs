//! What leaves the screen: copies and exports.

use crate::hands::*;

#[test]
fn what_is_copied_is_one_line_and_steers_no_terminal() {
    let mut state = unsealed();
    let item = MenuItem {
        key: 'e',
        what: "error".to_owned(),
        leads: Chosen::Copy("no\x1b[31m\nrm -rf x\u{202e}".to_owned()),
    };
    let menu = Menu::new("Copy", vec![item]);
    state.layers.push(Layer::Menu(Box::new(menu)));
    let effects = press(&mut state, "e");
    let copied = effects.iter().find_map(|effect| match effect {
        Effect::Copy(text) => Some(text.as_str()),
        _ => None,
    });
    assert_eq!(copied, Some("no\u{fffd}[31m rm -rf x\u{fffd}"));
}

#[test]
fn what_others_wrote_steers_nothing_that_reads_an_export() {
    let mut state = unsealed();
    for loaded in state.data.values_mut() {
        if let Some(Answer::Certificates(window)) = &mut loaded.value {
            for row in &mut window.rows {
                row.subject = "=a\x1b]52;c;aWQ=\x07\u{202e}".to_owned();
                row.sans.clear();
            }
        }
    }
    state.log(LoggedCommand {
        at: now(),
        command: "curl \x1b]0;x\x07\nid".to_owned(),
        how: "no answer\x1b[2J".to_owned(),
        run: None,
    });
    for format in ["csv", "json", "text", "timeline"] {
        press(&mut state, ":");
        tell(&mut state, Event::Paste(format!("export {format}")));
        let effects = press(&mut state, "enter");
        let written = effects.iter().find_map(|effect| match effect {
            Effect::Export { content, .. } => Some(content),
            _ => None,
        });
        let content = written.unwrap();
        let steers = |c: char| !matches!(c, '\n' | '\r') && is_hidden(c);
        assert!(!content.contains(steers), "{format}: {content:?}");
        if format == "csv" {
            assert!(
                content.contains("\r\n'=a\u{fffd}]52;c;aWQ=\u{fffd}\u{fffd},"),
                "{content}"
            );
        }
    }
}

#[test]
fn what_is_on_screen_is_exported() {
    let mut state = unsealed();
    press(&mut state, ":");
    tell(&mut state, Event::Paste("export csv".to_owned()));
    let effects = press(&mut state, "enter");
    let written = effects.iter().find_map(|effect| match effect {
        Effect::Export { name, content } => Some((name, content)),
        _ => None,
    });
    let (name, content) = written.unwrap();
    assert!(
        name.starts_with("certificates-") && name.ends_with(".csv"),
        "{name}"
    );
    assert!(
        content.starts_with("certificate,status,ends,host,key,owner,serial\r\npay.example.com,expired,"),
        "{content}"
    );
    assert_eq!(content.lines().count(), 6);
}
