//! What leaves the screen: copies and exports.

use chrono::Duration;

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

/// One key has one meaning on a plan: `y` carries it out, whatever scrolls.
#[test]
fn a_plans_commands_are_copied_by_a_key_of_their_own() {
    let mut state = unsealed();
    press(&mut state, "r");
    let mut plan = plan_for(&state, Tier::Contained);
    plan.steps[0].command = "curl -X POST http://127.0.0.1/x".to_owned();
    tell(&mut state, Event::Planned("#1".to_owned(), Ok(Box::new(plan))));
    let copied = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::Copy(_)));
    assert!(!copied(&press(&mut state, "ctrl-y")), "they are not shown");
    press(&mut state, "ctrl-o");
    let screen = drawn(&state);
    assert!(
        screen.contains("ctrl-y copies them") && screen.contains("press y to carry it out"),
        "{screen}"
    );
    assert!(copied(&press(&mut state, "ctrl-y")));
    let effects = press(&mut state, "y");
    assert!(executes(&effects) && !copied(&effects));
}

/// A target is named as what it is, not as the row that it was found on.
#[test]
fn a_timeline_names_an_agent_by_its_host() {
    let mut state = unsealed();
    press(&mut state, "4");
    let rows = cmp_console::views::focused_rows(&state);
    let targets: Vec<_> = (0..rows.ids().len())
        .filter_map(|at| rows.get(at))
        .flat_map(|row| row.targets)
        .collect();
    let agent = targets
        .iter()
        .find(|target| target.kind == EntityKind::Agent)
        .unwrap();
    let host = fixtures::agents()
        .into_iter()
        .find(|it| it.id == agent.id)
        .unwrap()
        .hostname;
    assert_eq!(agent.name, host);
    drop(rows);
    press(&mut state, "c");
    assert_eq!(
        state.runs[0].title(),
        format!("Check-in of {}", state.runs[0].on[0].name)
    );
    // The plan has read it, whatever the row said.
    state.runs[0].on[0].name = "img.example.com".to_owned();
    let mut plan = plan_for(&state, Tier::Contained);
    plan.targets[0].name.clone_from(&host);
    tell(&mut state, Event::Planned("#1".to_owned(), Ok(Box::new(plan))));
    run_line(&mut state, "export timeline");
    press(&mut state, "esc");
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
        let (_, content) = written(&effects).unwrap();
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
    let (name, content) = written(&effects).unwrap();
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

/// Words of `text` that are a moment with a part of its date missing.
fn not_whole(text: &str) -> Vec<String> {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || ",;()\"'`".contains(c))
        .map(|word| word.trim_matches(|c| ".:".contains(c)))
        .filter(|word| !word.is_empty())
        .collect();
    let is_clock = |word: &str| {
        let parts: Vec<&str> = word.trim_end_matches('Z').split(':').collect();
        let digits = |part: &&str| part.len() == 2 && part.chars().all(|c| c.is_ascii_digit());
        word.ends_with('Z') && (2..=3).contains(&parts.len()) && parts.iter().all(digits)
    };
    let is_year = |word: &str| word.len() == 4 && word.chars().all(|c| c.is_ascii_digit());
    let is_date = |word: &str| {
        let parts: Vec<&str> = word.split('-').collect();
        parts.len() == 3 && is_year(parts[0])
    };
    let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let mut found = Vec::new();
    for (n, word) in words.iter().enumerate() {
        let before = if n > 0 { words[n - 1] } else { "" };
        let after = words.get(n + 1).copied().unwrap_or_default();
        let wrong = is_clock(word) && !is_date(before) && !is_year(before)
            || months.contains(word) && !is_year(after)
            || days.contains(word);
        if wrong {
            found.push(format!("{before} {word} {after}"));
        }
    }
    found
}

#[test]
fn a_moment_without_its_whole_date_would_be_found() {
    for part in ["03:07Z", "03:07:12Z", "Tue 08:16Z", "21 Nov", "ends 21 Nov, then"] {
        assert!(!not_whole(part).is_empty(), "{part}");
    }
    for whole in [
        "2026-11-21T03:07:00Z",
        "2026-11-21 03:07Z",
        "29 Nov 2026 08:17Z",
        "39:dd:2e:90",
    ] {
        assert_eq!(not_whole(whole), [""; 0], "{whole}");
    }
}

/// A file is read on another day: a moment in it has its year, its day and its zone (RFC 3339).
#[test]
fn what_leaves_the_screen_has_whole_dates() {
    let mut state = unsealed();
    // One of each, with times of their own.
    state.log(LoggedCommand {
        at: now(),
        command: "curl".to_owned(),
        how: "200".to_owned(),
        run: None,
    });
    state.guard = Guard::Protected(None);
    run_line(&mut state, "unlock 15m INC-7");
    press(&mut state, "X esc r");
    planned(&mut state, Tier::Contained);
    let lost = cmp_console::domain::database::HostState::Lost {
        since: now(),
        why: "refused".to_owned(),
        was: None,
    };
    state.hosts.push(cmp_console::domain::database::Host {
        name: "db-1".to_owned(),
        unchecked: None,
        late: std::collections::BTreeSet::new(),
        state: lost,
        instance: None,
    });
    press(&mut state, "esc");
    let mut screens: Vec<State> = Vec::new();
    for key in ["1", "2", "3", "4", "5", "6", "7", "8", "9", "L", "@"] {
        let mut state = state.clone();
        press(&mut state, key);
        screens.push(state);
    }
    for (view, subject) in [
        (ViewId::Certificate, "crt_0002"),
        (ViewId::Agent, "agt_0003"),
        (ViewId::Request, "req_0001"),
        (ViewId::AuditRow, "2"),
    ] {
        let mut state = state.clone();
        let subject = Some(subject.to_owned());
        state.places.push(Place { view, subject });
        screens.push(state);
    }
    for screen in screens {
        for format in ["csv", "json", "text", "timeline"] {
            let mut screen = screen.clone();
            let view = screen.place().view;
            press(&mut screen, ":");
            tell(&mut screen, Event::Paste(format!("export {format}")));
            let effects = press(&mut screen, "enter");
            let (_, content) = written(&effects).unwrap();
            let found = not_whole(&content);
            assert!(found.is_empty(), "{view:?} as {format} has {found:?}:\n{content}");
            if view == ViewId::Certificates && format != "timeline" {
                assert!(content.contains("2026-11-21T03:07:00Z"), "{content}");
            }
        }
    }
    // The screen itself stays short.
    press(&mut state, "2");
    assert!(drawn(&state).contains(" 21 Nov "), "{}", drawn(&state));
}

/// A file is taken for the whole: what matches and isn't loaded is read first, and what is cut is said.
#[test]
fn an_export_reads_what_is_not_loaded_and_says_what_it_lacks() {
    let mut state = unsealed();
    let query = Query::Certificates(ListQuery::default());
    let rows: Vec<_> = (0..200)
        .map(|n| fixtures::certificate(n, &format!("n-{n}.example.com"), Duration::days(40)))
        .collect();
    let list = |n: i64, total: i64| {
        let rows = (0..n)
            .map(|n| fixtures::certificate(n, &format!("n-{n}.example.com"), Duration::days(40)))
            .collect();
        Answer::Certificates(Window { rows, total })
    };
    fixtures::answer(
        &mut state,
        query.clone(),
        Answer::Certificates(Window { rows, total: 205 }),
    );
    press(&mut state, ":");
    tell(&mut state, Event::Paste("export csv".to_owned()));
    let effects = press(&mut state, "enter");
    let wanted = effects.into_iter().find_map(|effect| match effect {
        Effect::ReadForExport(wanted) => Some(wanted),
        Effect::Export(export) => panic!("{:?}", export.files[0].0),
        _ => None,
    });
    let wanted = wanted.unwrap();
    assert_eq!(wanted.lists, [(query.clone(), 205)]);
    // Whoever goes on meanwhile gets what was asked for.
    press(&mut state, "3");
    let exported = |state: &mut State, answer| {
        let read = vec![(query.clone(), answer)];
        let effects = tell(state, Event::ReadForExport(wanted.clone(), read));
        let export = effects.into_iter().find_map(|effect| match effect {
            Effect::Export(export) => Some(export),
            _ => None,
        });
        export.unwrap()
    };
    let whole = exported(&mut state, Ok(list(205, 205)));
    assert_eq!(whole.files[0].1.lines().count(), 206);
    assert!(
        whole.files[0].0.starts_with("certificates-2026") && whole.cut.is_empty(),
        "{whole:?}"
    );
    let cut = exported(&mut state, Ok(list(205, 10_001)));
    assert!(
        cut.files[0].0.starts_with("certificates-205-of-10000+-") && cut.cut == "205 of 10,000+ rows",
        "{} {}",
        cut.files[0].0,
        cut.cut
    );
    let away = cmp_console::problem::Problem::unavailable("the API is away");
    let cut = exported(&mut state, Err(away));
    assert!(
        cut.cut.starts_with("200 of 205 rows, the others can't be read"),
        "{}",
        cut.cut
    );
}

#[test]
fn a_table_is_a_file_and_every_column_of_it_has_a_name() {
    let mut state = unsealed();
    state.places.push(Place {
        view: ViewId::Certificate,
        subject: Some("crt_0002".to_owned()),
    });
    press(&mut state, ":");
    tell(&mut state, Event::Paste("export csv".to_owned()));
    let effects = press(&mut state, "enter");
    let export = effects.into_iter().find_map(|effect| match effect {
        Effect::Export(export) => Some(export),
        _ => None,
    });
    let files = export.unwrap().files;
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert!(
        names[0].starts_with("certificate-facts-") && names[1].starts_with("certificate-rows-"),
        "{names:?}"
    );
    for (name, content) in &files {
        let heading = content.lines().next().unwrap();
        let blank = heading.split(',').any(str::is_empty);
        assert!(!blank && !content.contains("\r\n\r\n"), "{name}: {content}");
    }
}
