//! What the person types, read on a thread of its own, and whether the terminal is still there.
//!
//! crossterm alone spins for ever once a terminal has hung up (crossterm #793), so its reader is asked
//! only when there is something to read, and a second thread watches for the hang-up.

use std::io;
use std::os::fd::AsFd;
use std::thread;

use ratatui::crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::mpsc::Sender;

use super::heard::Input;
use super::split_escape::SplitEscape;
use crate::state::Size;

/// How long crossterm may look for more; with no time at all it would not look.
const LOOK: std::time::Duration = std::time::Duration::from_millis(1);

/// How long the rest of an escape sequence may be on its way: more than a laggy link needs between two
/// packets that were sent together, less than a person waits for Esc.
const ESCAPE: std::time::Duration = std::time::Duration::from_millis(100);

/// Starts the two threads; they end with the program.
///
/// # Errors
/// That no thread can be started.
pub fn start(to: &Sender<Input>) -> io::Result<()> {
    let reader = to.clone();
    thread::Builder::new()
        .name("keys".to_owned())
        .spawn(move || read(&reader))?;
    let watcher = to.clone();
    thread::Builder::new()
        .name("hang-up".to_owned())
        .spawn(move || watch(&watcher))?;
    Ok(())
}

fn read(to: &Sender<Input>) {
    let stdin = io::stdin();
    loop {
        let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) => {}
            // A resize interrupts the wait; crossterm then has an event of its own.
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return gone(to),
        }
        if fds[0]
            .revents()
            .intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL)
        {
            return gone(to);
        }
        let mut split = SplitEscape::default();
        loop {
            let look = if split.is_waiting() { ESCAPE } else { LOOK };
            let heard = match event::poll(look) {
                Ok(true) => match event::read() {
                    Ok(event) => translate(event)
                        .into_iter()
                        .flat_map(|input| split.hear(input))
                        .collect(),
                    Err(_) => return gone(to),
                },
                _ if split.is_waiting() => split.give_up(),
                _ => break,
            };
            for input in heard {
                if to.blocking_send(input).is_err() {
                    return;
                }
            }
        }
    }
}

/// Waits for nothing but the hang-up.
fn watch(to: &Sender<Input>) {
    let stdin = io::stdin();
    loop {
        let mut fds = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::empty())];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return gone(to),
        }
        if fds[0]
            .revents()
            .intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL)
        {
            return gone(to);
        }
    }
}

fn gone(to: &Sender<Input>) {
    // Full or closed: the loop is either about to hear it from the other thread or gone itself.
    let _sent = to.try_send(Input::HangUp);
}

fn translate(event: event::Event) -> Vec<Input> {
    match event {
        event::Event::Key(key) if key.kind != KeyEventKind::Release => keys(key),
        event::Event::Paste(text) => vec![Input::Paste(text)],
        event::Event::Resize(width, height) => vec![Input::Resize(Size { width, height })],
        _ => Vec::new(),
    }
}

/// The keys that were pressed, by their names in the keymap. An Esc and a key that came in one packet
/// look like the key with Alt; no key with Alt means anything here, so they are the two keys, unless the
/// two begin one of the sequences of ECMA-48 §5.3 that go on.
fn keys(key: KeyEvent) -> Vec<Input> {
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    if alt
        && matches!(
            key.code,
            KeyCode::Char('[' | ']' | 'N' | 'O' | 'P' | 'X' | '^' | '_')
        )
    {
        return Vec::new();
    }
    let escape = alt.then(|| "esc".to_owned());
    escape.into_iter().chain(name(key)).map(Input::Key).collect()
}

fn name(key: KeyEvent) -> Option<String> {
    let name = match key.code {
        KeyCode::Char(' ') => "space".to_owned(),
        KeyCode::Char(c) if key.modifiers.contains(KeyModifiers::CONTROL) => {
            format!("ctrl-{}", c.to_ascii_lowercase())
        }
        KeyCode::Char(c) => c.to_string(),
        KeyCode::Enter => "enter".to_owned(),
        KeyCode::Esc => "esc".to_owned(),
        KeyCode::Tab => "tab".to_owned(),
        KeyCode::BackTab => "backtab".to_owned(),
        KeyCode::Backspace => "backspace".to_owned(),
        KeyCode::Delete => "delete".to_owned(),
        KeyCode::Up => "up".to_owned(),
        KeyCode::Down => "down".to_owned(),
        KeyCode::Left => "left".to_owned(),
        KeyCode::Right => "right".to_owned(),
        KeyCode::Home => "home".to_owned(),
        KeyCode::End => "end".to_owned(),
        KeyCode::PageUp => "pageup".to_owned(),
        KeyCode::PageDown => "pagedown".to_owned(),
        _ => return None,
    };
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(code: KeyCode, modifiers: KeyModifiers) -> Vec<Input> {
        translate(event::Event::Key(KeyEvent::new(code, modifiers)))
    }

    #[test]
    fn an_escape_and_a_key_in_one_packet_are_two_keys() {
        let two = ["esc", "j"].map(|name| Input::Key(name.to_owned()));
        assert_eq!(heard(KeyCode::Char('j'), KeyModifiers::ALT), two);
        assert_eq!(heard(KeyCode::Char('X'), KeyModifiers::ALT), []);
        assert_eq!(heard(KeyCode::Char('j'), KeyModifiers::NONE), two[1..]);
    }
}
