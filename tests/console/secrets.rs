//! Secrets of every kind in every field that is typed into: they are not drawn, not asked for and not kept, be they
//! pasted whole or sent key by key at any pace.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cmp_console::console::heard::Input;
use cmp_console::state::event::Ignored;
use cmp_console::state::snapshot::Snapshot;

use crate::bare_pastes::*;
use crate::hands::*;

/// Secrets by what they are.
fn secrets() -> Vec<(&'static str, String)> {
    let key = rcgen::KeyPair::generate().unwrap();
    let body = STANDARD.encode(key.serialized_der());
    let share: [u8; 33] = std::array::from_fn(|n| u8::try_from(n * 37 % 251).unwrap());
    let token = "AbC1dEf2GhI3jKl4MnO5pQr6StU7vWx8";
    let c = key.serialized_der().iter().map(|byte| format!("0x{byte:02x},"));
    let pairs: Vec<String> = key
        .serialized_der()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    vec![
        ("a share in base64", STANDARD.encode(share)),
        (
            "a share without its last letter",
            STANDARD.encode(share)[..43].to_owned(),
        ),
        (
            "a share without its first letter",
            STANDARD.encode(share)[1..].to_owned(),
        ),
        ("a share in hex", hex::encode(share)),
        ("a token of Vault", format!("hvs.{token}")),
        ("a token of the API", format!("cmp_{token}")),
        ("a JWT", format!("eyJhbGciOiJIUzI1NiJ9.eyJz{token}.{token}")),
        (
            "a key in percent",
            body.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"),
        ),
        (
            "a key with letters that nobody sees",
            body.replace('A', "A\u{200b}"),
        ),
        ("a key in C", c.collect()),
        (
            "a key as PostgreSQL prints it",
            format!("\\x{}", hex::encode(key.serialized_der())),
        ),
        ("a key in pairs with slashes", pairs.join("/")),
        (
            "a number in base32hex",
            data_encoding::BASE32HEX_NOPAD.encode(&share[..32]),
        ),
        ("the middle of a key", body[60..120].to_owned()),
        ("a key", body),
    ]
}

/// Each field that is typed into, open.
fn fields() -> Vec<(&'static str, State)> {
    let mut all = vec![
        ("/", opened("2 /")),
        (":", opened(":")),
        (":find", opened(": f i n d space")),
        (":save", opened(": s a v e space")),
        ("the unseal dialog", with_shares()),
        ("the word that confirms", with_plan("X", Tier::Irreversible)),
    ];
    let plan = with_plan("X", Tier::Irreversible);
    let Some(Layer::Run(layer)) = plan.layers.last() else {
        panic!("its dialog is open")
    };
    for (at, name) in (layer.fields.len()..).zip(["the reason", "the ticket"]) {
        let mut state = plan.clone();
        let tabs = vec!["tab"; at + 1].join(" ");
        press(&mut state, &tabs);
        all.push((name, state));
    }
    all
}

/// All that is left of a console: its screen, what it asked for, what it keeps in files and for the next time.
fn traces(terminal: &Terminal) -> String {
    let state = &terminal.state;
    let effects = terminal
        .effects
        .iter()
        .filter(|it| !matches!(it, Effect::SubmitSecret(_)));
    format!(
        "{} {:?} {:?} {:?} {} {:?}",
        drawn(state).replace(' ', ""),
        effects.collect::<Vec<_>>(),
        state.filters_used,
        state.lines_used,
        serde_json::to_string(&Snapshot::of(state)).unwrap(),
        state.layers,
    )
}

/// The longest piece of `secret` that is in `text`, in letters.
fn seen(secret: &str, text: &str) -> usize {
    let secret: Vec<char> = secret.chars().filter(char::is_ascii).collect();
    let text = text.replace('\u{200b}', "");
    let mut longest = 0;
    for from in 0..secret.len() {
        while let Some(piece) = secret.get(from..=from + longest)
            && text.contains(&piece.iter().collect::<String>())
        {
            longest += 1;
        }
    }
    longest
}

#[test]
fn a_secret_that_is_pasted_leaves_no_trace_in_any_field() {
    for (place, state) in fields() {
        for (what, secret) in secrets() {
            let mut terminal = Terminal::new(state.clone());
            terminal
                .entry
                .hear(terminal.now, Input::Paste(secret.clone()), &terminal.state);
            terminal.wait(Duration::from_secs(2));
            let before = traces(&terminal);
            terminal.types("enter", Duration::ZERO);
            let left = seen(&secret, &before).max(seen(&secret, &traces(&terminal)));
            assert!(
                left < 8,
                "{left} letters of {what} in {place}: {}",
                terminal.said()
            );
        }
    }
}

#[test]
fn a_line_of_a_private_key_that_is_pasted_leaves_no_trace_either() {
    let line = "    00:c3:5e:91:07:aa:6d:42:18:fe:b0:29:73:dc:84:\n";
    for (place, state) in fields() {
        let mut terminal = Terminal::new(state);
        let paste = Input::Paste(line.to_owned());
        terminal.entry.hear(terminal.now, paste, &terminal.state);
        terminal.wait(Duration::from_secs(2));
        terminal.types("enter", Duration::ZERO);
        let left = seen(line.trim(), &traces(&terminal));
        assert!(left < 8, "{left} letters of it in {place}: {}", terminal.said());
    }
}

#[test]
fn a_secret_that_comes_key_by_key_is_wiped_as_it_grows() {
    // Steady as a remote console sends, uneven, and as a hand that copies from paper.
    let paces: [(&[u64], usize); 4] = [
        (&[48], 14),
        (&[60, 52, 57], 14),
        (&[61, 90, 44, 75], 44),
        (&[250], 44),
    ];
    let places = ["/", ":find", "the reason"];
    for (place, state) in fields().into_iter().filter(|(place, _)| places.contains(place)) {
        for (what, secret) in secrets() {
            for (pace, most) in paces {
                // Up to 64 hex digits may become a fingerprint.
                let most = if what == "a share in hex" && most == 44 {
                    64
                } else {
                    most
                };
                let mut terminal = Terminal::new(state.clone());
                let mut shown = 0;
                let keys = keys_of(&secret);
                for (n, key) in keys.iter().take(90).enumerate() {
                    let pause = Duration::from_millis(pace[n % pace.len()]);
                    terminal.send(std::slice::from_ref(key), (1, pause));
                    if n == 60 {
                        shown = shown.max(seen(&secret, &traces(&terminal)));
                    }
                }
                terminal.wait(Duration::from_secs(2));
                terminal.types("enter", Duration::ZERO);
                shown = shown.max(seen(&secret, &traces(&terminal)));
                assert!(
                    shown <= most,
                    "{shown} letters of {what} at {pace:?} ms in {place}: {}",
                    terminal.said()
                );
                assert!(!terminal.state.quit);
            }
        }
    }
}

/// A filter goes out when typing pauses: of a secret that is typed with a pause behind each letter no more goes out than
/// tells anything.
#[test]
fn a_filter_that_goes_out_while_it_is_typed_takes_no_secret_along() {
    let mut went_out = 0;
    // A chance of one in 300: so many lower-case letters in a row are a word to whoever reads along.
    let has_a_word = |secret: &str| {
        secret
            .as_bytes()
            .windows(9)
            .any(|it| it.iter().all(u8::is_ascii_lowercase))
    };
    for (what, secret) in secrets().into_iter().filter(|(_, secret)| !has_a_word(secret)) {
        let mut terminal = Terminal::new(opened("2 /"));
        for key in keys_of(&secret).into_iter().take(70) {
            terminal.send(&[key], (1, Duration::from_millis(400)));
            // Each question is answered, so that the next one may go out.
            let Some(Layer::Filter(layer)) = terminal.state.layers.last() else {
                break;
            };
            if let Some(q) = layer.asked.clone() {
                let list = ListQuery {
                    q,
                    ..ListQuery::default()
                };
                let query = Query::Certificates(list);
                let asked = terminal.state.data[&query].asked;
                let result = Ok(Answer::Certificates(Window {
                    rows: Vec::new(),
                    total: 0,
                }));
                let event = Event::Answer {
                    query,
                    asked,
                    from: None,
                    result,
                };
                let effects = tell(&mut terminal.state, event);
                terminal.effects.extend(effects);
            }
        }
        let asks = |effect: &&Effect| {
            matches!(
                effect,
                Effect::Ask {
                    query: Query::Certificates(_),
                    ..
                }
            )
        };
        let asked: Vec<&Effect> = terminal.effects.iter().filter(asks).collect();
        went_out += asked.len();
        let seen = seen(&secret, &format!("{asked:?}"));
        assert!(seen <= 8, "{seen} letters of {what} went out: {asked:?}");
    }
    assert!(went_out > 0, "nothing was asked at all");
}

#[test]
fn what_was_wiped_is_said_and_its_rest_is_not_heard_until_it_is_quiet() {
    let mut terminal = Terminal::new(opened("2 /"));
    let (_, key) = pem_and_key();
    let body: String = key.lines().filter(|line| !line.starts_with('-')).collect();
    let keys = keys_of(&body);
    terminal.send(&keys[..60], (1, Duration::from_millis(110)));
    assert!(
        terminal.said().contains("may be a private key"),
        "{}",
        terminal.said()
    );
    assert!(drawn(&terminal.state).contains("private key"));
    terminal.wait(Duration::from_secs(1));
    terminal.types("w e b - 0 1 enter", Duration::from_millis(90));
    assert_eq!(terminal.state.screen().list.q, "web-01");
}

#[test]
fn what_begins_as_a_pem_is_a_paste_at_any_pace() {
    let (_, key) = pem_and_key();
    for screen in ["1", "2", "4", "2 /", ":"] {
        for pace in [45, 60, 90, 200] {
            let mut terminal = Terminal::new(opened(screen));
            for key in keys_of(&format!("{key}qqXyrq")) {
                terminal.send(&[key], (1, Duration::from_millis(pace)));
            }
            terminal.wait(Duration::from_secs(3));
            assert!(!terminal.state.quit, "{screen} at {pace} ms");
            assert!(terminal.state.runs.is_empty(), "{screen} at {pace} ms");
            let lines = key.lines().filter(|line| !line.starts_with('-'));
            for line in lines {
                assert!(seen(line, &traces(&terminal)) < 14, "{screen} at {pace} ms");
            }
        }
    }
}

#[test]
fn prose_at_a_steady_pace_is_a_paste_and_a_hand_at_its_own_is_none() {
    for pace in [42, 48, 60] {
        let mut terminal = Terminal::new(opened("2"));
        terminal.send(
            &keys_of("sorry, try again: quit, X yes y"),
            (1, Duration::from_millis(pace)),
        );
        terminal.wait(Duration::from_secs(2));
        assert!(
            terminal.said().contains("as fast as a paste"),
            "{}",
            terminal.said()
        );
        assert!(terminal.state.runs.is_empty() && !terminal.state.quit);
    }
    // A name typed in bursts, and a key held between others.
    let mut terminal = Terminal::new(opened("2 /"));
    let pauses = [62, 110, 48, 95, 66, 130, 55, 61, 88, 47, 66, 140];
    for (n, key) in keys_of("shop-eu-01.example.com").into_iter().enumerate() {
        terminal.send(&[key], (1, Duration::from_millis(pauses[n % pauses.len()])));
    }
    terminal.wait(Duration::from_secs(1));
    assert!(drawn(&terminal.state).contains("shop-eu-01.example.com"));
    let mut terminal = Terminal::new(opened("2"));
    terminal.send(&vec!["j".to_owned(); 60], (1, Duration::from_millis(30)));
    terminal.wait(Duration::from_secs(1));
    assert!(!terminal.said().contains("paste"), "{}", terminal.said());
}

#[test]
fn only_what_has_the_form_of_a_share_is_taken_as_one() {
    for (typed, is_sent) in [
        ("unseal", false),
        ("hunter2", false),
        ("hvs.AbC1dEf2GhI3jKl4MnO5pQr6StU7", false),
        ("q+k8rP0tFvhx3pJX2cKZl5N5rG8yYQ9bqS1mC1S0bWkB", true),
    ] {
        let mut terminal = Terminal::new(with_shares());
        let keys = keys_of(typed);
        terminal.send(&keys, (1, Duration::from_millis(110)));
        terminal.wait(Duration::from_secs(1));
        assert_eq!(terminal.entry.take_secret().is_some(), is_sent, "{typed}");
        assert!(terminal.entry.take_secret().is_none(), "it is gone");
    }
}

/// The line about a share is about the last one that was typed, whatever was wrong with one before.
#[test]
fn what_was_wrong_with_an_earlier_share_is_not_said_of_the_next_one() {
    let refused = || Event::KeysIgnored(0, Ignored::NotSent);
    let says = |state: &State| drawn(state).contains("that is no share");
    let mut state = with_shares();
    tell(&mut state, refused());
    assert!(says(&state));
    tell(&mut state, Event::SecretTyped(0));
    assert!(says(&state), "nothing else was typed yet");
    tell(&mut state, Event::SecretTyped(1));
    assert!(!says(&state));
    tell(&mut state, refused());
    let effects = press(&mut state, "enter");
    assert!(effects.iter().any(|it| matches!(it, Effect::SubmitSecret(_))));
    assert!(!says(&state), "{}", drawn(&state));
}
