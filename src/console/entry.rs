//! Entry of what came from the terminal: keys that a hand typed, pastes, and the rest become events, in their
//! order. Characters of a secret go into its buffer, and key material goes nowhere: neither is ever in an event.

use std::collections::VecDeque;

use tokio::time::Instant;
use zeroize::{Zeroize as _, Zeroizing};

use super::hand::{Hand, Heard, has_field};
use super::heard::{Input, typed_character};
use super::update::wants_secret;
use super::wiped::open_field;
use crate::domain::key_material::{Material, material_in};
use crate::domain::secret::{Secret, SecretBuffer, is_share, share_in};
use crate::state::State;
use crate::state::event::{Event, Ignored};
use crate::state::layer::Layer;

/// What came and is no event yet.
#[derive(Default)]
pub struct Entry {
    /// Oldest first, each with the dialog that heard keys when it came.
    come: VecDeque<(Instant, Input, Option<String>)>,
    hand: Hand,
    secret: SecretBuffer,
    /// Number of times that key material had been wiped out of a field by the last event.
    wiped: u64,
}

impl Entry {
    /// Something came from the terminal.
    pub fn hear(&mut self, at: Instant, input: Input, state: &State) {
        self.come.push_back((at, input, listening(state)));
    }

    /// The next event as of `now`; nothing while there is none yet. Each is told before the next is asked for.
    pub fn next(&mut self, now: Instant, state: &State) -> Option<Event> {
        self.settle(state);
        if state.wiped > self.wiped {
            self.hand.stay_deaf(now);
        }
        self.wiped = state.wiped;
        loop {
            while let Some((_, Input::Key(_), _)) = self.come.front()
                && let Some((at, Input::Key(key), listening)) = self.come.pop_front()
            {
                self.hand.hear(at, &key, listening);
            }
            if let Some(heard) = self.hand.next(now, state) {
                match self.event_of(heard, now, state) {
                    Some(event) => return Some(event),
                    None => continue,
                }
            }
            let waits = self.hand.is_waiting() && matches!(self.come.front(), Some((_, Input::Paste(_), _)));
            if waits {
                // What was typed before it opens its field.
                return None;
            }
            let (at, input, _) = self.come.pop_front()?;
            return match input {
                Input::Paste(text) => {
                    self.hand.heard_paste(at);
                    self.pasted(text, None, now, state)
                }
                Input::HangUp => Some(Event::HangUp),
                Input::Resize(size) => Some(Event::Resize(size)),
                Input::PasteBroke => Some(Event::PasteBroke),
                Input::PasteTooLong(bytes) => {
                    self.hand.heard_paste(at);
                    Some(Event::KeysIgnored(bytes, Ignored::TooLong))
                }
                Input::PasteEnded => {
                    self.hand.heard_end(at);
                    continue;
                }
                // These are about frames, and keys are in order.
                Input::Answered(_) | Input::Key(_) => continue,
            };
        }
    }

    /// A secret that nobody asks for any more is forgotten.
    pub fn settle(&mut self, state: &State) {
        if !wants_secret(state) {
            self.secret.clear();
        }
    }

    /// When to ask for the next event though nothing came.
    #[must_use]
    pub fn wake(&self, state: &State) -> Option<Instant> {
        let come = self.come.front().filter(|_| !self.hand.is_waiting());
        come.map(|(at, ..)| *at).or_else(|| self.hand.wake(state))
    }

    /// The share that was typed; nothing where what was typed has not the form of one, which is forgotten.
    pub fn take_secret(&mut self) -> Option<Secret> {
        let secret = self.secret.take();
        let is_key = matches!(material_in(secret.expose()), Some(Material::PrivateKey(_)));
        (is_share(secret.expose()) && !is_key).then_some(secret)
    }

    /// A share of a demo goes into the hidden field, in the place of what is in it.
    pub fn take_share(&mut self, share: Result<Secret, String>) -> Event {
        match share {
            Ok(share) => {
                self.secret.clear();
                share.expose().chars().for_each(|c| self.secret.push(c));
                Event::SecretTyped(self.secret.n_chars())
            }
            Err(why) => Event::NoShare(why),
        }
    }

    /// Nothing that was typed counts any more, as after the program was stopped.
    pub fn forget(&mut self) {
        self.hand.forget();
        self.come.clear();
    }

    fn event_of(&mut self, heard: Heard, now: Instant, state: &State) -> Option<Event> {
        let ignored = |n, why| Some(Event::KeysIgnored(n, why));
        match heard {
            Heard::Key(key) => Some(self.key(key, state)),
            Heard::PasteBegan => ignored(0, Ignored::Paste),
            Heard::Paste(mut text, keys) => self.pasted(std::mem::take(&mut *text), Some(keys), now, state),
            Heard::Late(keys) => ignored(keys, Ignored::Paste),
            Heard::Rest(keys) => ignored(keys, Ignored::Rest),
            Heard::Behind(keys) => ignored(keys, Ignored::Behind),
            Heard::Early => ignored(1, Ignored::Unseen),
            Heard::Hasty(_) => ignored(1, Ignored::Hasty),
            Heard::Among(keys) => ignored(keys, Ignored::Among),
            Heard::AtOnce(behind) => ignored(behind, Ignored::AtOnce),
        }
    }

    fn key(&mut self, key: String, state: &State) -> Event {
        if !wants_secret(state) {
            return Event::Key(key);
        }
        match (key.as_str(), typed_character(&key)) {
            ("backspace", _) => self.secret.pop(),
            (_, Some(c)) => self.secret.push(c),
            _ => return Event::Key(key),
        }
        Event::SecretTyped(self.secret.n_chars())
    }

    /// A paste, by `keys` bare ones where it came without brackets.
    fn pasted(
        &mut self,
        mut text: String,
        keys: Option<usize>,
        now: Instant,
        state: &State,
    ) -> Option<Event> {
        let mut material = material_in(&text);
        // Its first letters may have come as typed ones.
        if keys.is_some()
            && !matches!(material, Some(Material::PrivateKey(_)))
            && let Some(before) = open_field(state).map(Zeroizing::new)
        {
            let whole = Zeroizing::new(format!("{}{text}", *before));
            material = material_in(&whole);
        }
        let event = match material {
            // A key belongs into no event and no field; what can be known of it without it is its hash.
            Some(Material::PrivateKey(spki)) => Event::PastedKey(spki),
            Some(Material::Piece) if !wants_secret(state) => {
                Event::KeysIgnored(keys.unwrap_or(0), Ignored::Piece)
            }
            Some(Material::Unread) if has_field(state) && !wants_secret(state) => {
                let characters = text.chars().count();
                Event::KeysIgnored(keys.unwrap_or(0), Ignored::Unread { characters })
            }
            _ if wants_secret(state) => match share_in(&text) {
                Some(share) => {
                    share.chars().for_each(|c| self.secret.push(c));
                    Event::SecretTyped(self.secret.n_chars())
                }
                None => Event::KeysIgnored(keys.unwrap_or(0), Ignored::NoShare),
            },
            _ => match keys {
                Some(keys) if !has_field(state) => Event::KeysIgnored(keys, Ignored::Paste),
                _ => Event::Paste(std::mem::take(&mut text)),
            },
        };
        text.zeroize();
        let stays_out = matches!(
            event,
            Event::PastedKey(_)
                | Event::KeysIgnored(_, Ignored::Piece | Ignored::Unread { .. } | Ignored::NoShare)
        );
        if stays_out && keys.is_some() {
            self.hand.stay_deaf(now);
        }
        Some(event)
    }
}

/// The run whose dialog hears keys now.
fn listening(state: &State) -> Option<String> {
    match state.layers.last() {
        Some(Layer::Run(layer)) if layer.hears() => Some(layer.run.clone()),
        _ => None,
    }
}
