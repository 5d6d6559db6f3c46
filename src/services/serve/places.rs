//! Who holds a connection. No address holds more than its share, and where all are taken the one that has
//! been idle for longest goes, so that connections on which nothing is asked keep nobody out. Where none is idle, the
//! oldest event stream goes: its client comes again. No address has more answers waiting for it than it is allowed, in
//! bytes: of those that nobody takes, or takes slowly, the oldest goes. Who has no connection yet, such as who asks whether the server
//! lives, finds one of a few that are kept for that.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Bounds;

/// All connections of a listener.
pub(super) struct Places {
    most: usize,
    most_of_one: usize,
    /// Beyond all others, for addresses that have none.
    kept: usize,
    most_owed: usize,
    most_owed_to_one: usize,
    held: Mutex<Held>,
    /// Rung when one ends or is idle again.
    free: Notify,
}

#[derive(Default)]
struct Held {
    /// The last number given, to a connection or to a moment at which one became idle.
    last: u64,
    all: HashMap<u64, One>,
    /// Since when which connection may be sent away: the idle ones, the longest first, then the streams.
    idle: BTreeMap<Since, u64>,
    of: HashMap<IpAddr, OfOne>,
    /// Bytes of answers that wait for their visitors.
    owed: usize,
}

/// In which order connections make room.
type Since = (Rest, u64);

/// Reason that nothing is worked out on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rest {
    /// No request is under way on it.
    Idle,
    /// An event stream is open on it.
    Streams,
}

struct One {
    who: IpAddr,
    /// Since when it may be sent away, if it may.
    idle: Option<Since>,
    /// Since when it is owed an answer of so many bytes, if it is.
    owed: Option<(u64, usize)>,
    go: Arc<Notify>,
}

/// Those of one address.
#[derive(Default)]
struct OfOne {
    n: usize,
    idle: BTreeMap<Since, u64>,
    /// Bytes of answers that wait for it, and since when which connection is owed one.
    owed: usize,
    owed_since: BTreeMap<u64, u64>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The address has its share, and something is asked on every one of them.
    OfOne,
    /// All are taken, and something is asked on every one of them.
    OfAll,
}

/// A connection's place, until it is dropped.
pub(super) struct Place {
    number: u64,
    places: Arc<Places>,
    go: Arc<Notify>,
}

impl Places {
    pub(super) fn new(bounds: &Bounds) -> Arc<Self> {
        Arc::new(Self {
            most: bounds.connections.max(1),
            most_of_one: bounds.per_address.max(1),
            kept: bounds.connections / 16,
            most_owed: bounds.owed,
            most_owed_to_one: bounds.owed_per_address,
            held: Mutex::default(),
            free: Notify::new(),
        })
    }

    /// A place for a connection from there; idle until something is asked on it.
    pub(super) fn take(self: &Arc<Self>, from: IpAddr) -> Result<Place, Full> {
        let who = visitor(from);
        let mut held = self.held();
        let of_one = held.of.get(&who).map_or(0, |of| of.n);
        if of_one >= self.most_of_one {
            let longest = held.of.get(&who).and_then(|of| of.idle.values().next().copied());
            held.send_away(longest.ok_or(Full::OfOne)?);
        } else if held.all.len() >= self.most {
            let may_go = held.idle.values().next().copied();
            match may_go {
                Some(longest) => held.send_away(longest),
                None if of_one == 0 && held.all.len() < self.most + self.kept => {}
                None => return Err(Full::OfAll),
            }
        }
        let number = held.next();
        let go = Arc::new(Notify::new());
        let one = One {
            who,
            idle: None,
            owed: None,
            go: Arc::clone(&go),
        };
        held.all.insert(number, one);
        held.of.entry(who).or_default().n += 1;
        held.rest(number, Rest::Idle);
        Ok(Place {
            number,
            places: Arc::clone(self),
            go,
        })
    }

    /// Ends when a place may be had, since a connection has ended or is idle.
    pub(super) async fn one_is_free(&self) {
        self.free.notified().await;
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn rest(&mut self, number: u64, rest: Rest) {
        // Counted anew where it was resting.
        self.work(number);
        let since = (rest, self.next());
        let Some(one) = self.all.get_mut(&number) else {
            return;
        };
        one.idle = Some(since);
        self.idle.insert(since, number);
        if let Some(of) = self.of.get_mut(&one.who) {
            of.idle.insert(since, number);
        }
    }

    fn work(&mut self, number: u64) {
        let Some(one) = self.all.get_mut(&number) else {
            return;
        };
        let Some(since) = one.idle.take() else { return };
        self.idle.remove(&since);
        if let Some(of) = self.of.get_mut(&one.who) {
            of.idle.remove(&since);
        }
    }

    fn owe(&mut self, number: u64, n: usize) {
        let since = self.next();
        let Some(one) = self.all.get_mut(&number).filter(|_| n > 0) else {
            return;
        };
        one.owed = Some((since, n));
        self.owed = self.owed.saturating_add(n);
        let of = self.of.entry(one.who).or_default();
        of.owed = of.owed.saturating_add(n);
        of.owed_since.insert(since, number);
    }

    fn owe_no_more(&mut self, number: u64) {
        let Some(one) = self.all.get_mut(&number) else {
            return;
        };
        let Some((since, n)) = one.owed.take() else { return };
        self.owed = self.owed.saturating_sub(n);
        if let Some(of) = self.of.get_mut(&one.who) {
            of.owed = of.owed.saturating_sub(n);
            of.owed_since.remove(&since);
        }
    }

    /// The connection that goes where too much is owed; never `newest`, which has only just begun.
    fn owed_too_long(&self, places: &Places, newest: u64) -> Option<u64> {
        let who = self.all.get(&newest)?.who;
        let own = self.of.get(&who).filter(|of| of.owed > places.most_owed_to_one);
        let oldest = |of: &OfOne| of.owed_since.values().copied().find(|number| *number != newest);
        own.and_then(oldest).or_else(|| {
            let too_much = self.owed > places.most_owed;
            let others = self.of.values().filter(|of| too_much && oldest(of).is_some());
            others.max_by_key(|of| of.owed).and_then(oldest)
        })
    }

    fn forget(&mut self, number: u64) -> Option<One> {
        self.work(number);
        self.owe_no_more(number);
        let one = self.all.remove(&number)?;
        if let Some(of) = self.of.get_mut(&one.who) {
            of.n -= 1;
            if of.n == 0 {
                self.of.remove(&one.who);
            }
        }
        Some(one)
    }

    fn send_away(&mut self, number: u64) {
        if let Some(one) = self.forget(number) {
            one.go.notify_one();
        }
    }
}

impl Place {
    /// Something is asked on it, until the answer is out.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.places.held().work(self.number);
        Busy(Arc::clone(self))
    }

    /// Ends when it has to make room.
    pub(super) async fn sent_away(&self) {
        self.go.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.held().forget(self.number);
        self.places.free.notify_one();
    }
}

/// While it lives, its connection isn't idle.
pub(super) struct Busy(Arc<Place>);

impl Busy {
    /// From now on it only tells what changes, and goes where others need room.
    pub(super) fn streams(&self) {
        self.0.places.held().rest(self.0.number, Rest::Streams);
        self.0.places.free.notify_one();
    }

    /// From now on its visitor is owed an answer that holds so many bytes, until it is taken.
    pub(super) fn owes(&self, n: usize) {
        let places = &self.0.places;
        let mut held = places.held();
        held.owe(self.0.number, n);
        while let Some(number) = held.owed_too_long(places, self.0.number) {
            held.send_away(number);
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut held = self.0.places.held();
        held.owe_no_more(self.0.number);
        held.rest(self.0.number, Rest::Idle);
        drop(held);
        self.0.places.free.notify_one();
    }
}

/// Whom an address stands for: of IPv6, whoever has the network has all its addresses.
fn visitor(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn places(connections: usize, per_address: usize) -> Arc<Places> {
        Places::new(&Bounds {
            connections,
            per_address,
            ..Bounds::default()
        })
    }

    fn at(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    fn is_sent_away(place: &Place) -> bool {
        place.sent_away().now_or_never().is_some()
    }

    #[test]
    fn four_thousand_idle_ones_of_one_address_keep_nobody_out() {
        let places = places(4096, 1024);
        let all: Vec<Place> = (0..4096).map(|_| places.take(at(1)).unwrap()).collect();
        let gone: Vec<bool> = all.iter().map(is_sent_away).collect();
        assert_eq!(gone.iter().filter(|gone| !**gone).count(), 1024);
        assert!(gone[..3072].iter().all(|gone| *gone), "the oldest went");
        assert!(places.take(at(2)).is_ok());
        assert_eq!(places.held().all.len(), 1024, "the other one has hung up");
        assert!(places.take(at(1)).is_ok());
    }

    #[test]
    fn what_is_asked_on_is_never_closed_and_the_longest_idle_goes_first() {
        let places = places(3, 3);
        let [first, second, third] = [1, 2, 3].map(|n| Arc::new(places.take(at(n)).unwrap()));
        let busy = first.busy();
        // The second one was idle, was asked and is idle again: the third is idle for longer.
        drop(second.busy());
        let fourth = Arc::new(places.take(at(4)).unwrap());
        assert!(is_sent_away(&third) && !is_sent_away(&first) && !is_sent_away(&second));
        let all = [second.busy(), fourth.busy()];
        assert_eq!(places.take(at(5)).err(), Some(Full::OfAll));
        drop(busy);
        assert!(places.take(at(5)).is_ok());
        drop(all);
    }

    #[test]
    fn streams_make_room_after_what_is_idle() {
        let places = places(3, 3);
        let [stream, other, idle] = [1, 2, 3].map(|n| Arc::new(places.take(at(n)).unwrap()));
        let told = [stream.busy(), other.busy()];
        told.iter().for_each(Busy::streams);
        let fourth = Arc::new(places.take(at(4)).unwrap());
        assert!(is_sent_away(&idle) && !is_sent_away(&stream));
        let busy = fourth.busy();
        let fifth = Arc::new(places.take(at(5)).unwrap());
        assert!(
            is_sent_away(&stream) && !is_sent_away(&other),
            "the oldest stream"
        );
        drop((busy, told, fifth));
    }

    #[test]
    fn who_has_no_connection_finds_one_though_others_ask_on_all() {
        let places = places(64, 32);
        let all: Vec<_> = (0..64)
            .map(|n| Arc::new(places.take(at(1 + n / 32)).unwrap()))
            .collect();
        let busy: Vec<_> = all.iter().map(Place::busy).collect();
        assert!(places.take(at(3)).is_ok());
        assert!(places.take(at(1)).is_err());
        drop(busy);
    }

    #[test]
    fn an_address_that_asks_on_all_of_its_share_gets_no_more_and_others_do() {
        let places = places(10, 2);
        let both = [(); 2].map(|()| Arc::new(places.take(at(1)).unwrap()));
        let busy = both.each_ref().map(Place::busy);
        assert_eq!(places.take(at(1)).err(), Some(Full::OfOne));
        assert!(places.take(at(2)).is_ok());
        drop(busy);
        drop(both);
        assert!(places.held().of.is_empty() && places.held().idle.is_empty());
    }

    #[test]
    fn where_too_much_is_owed_to_all_the_one_with_most_loses_its_oldest() {
        let places = Places::new(&Bounds {
            owed: 100,
            owed_per_address: 60,
            ..Bounds::default()
        });
        let all: Vec<_> = [1, 1, 2, 3, 3]
            .map(|n| Arc::new(places.take(at(n)).unwrap()))
            .into_iter()
            .collect();
        let busy: Vec<_> = all.iter().map(Place::busy).collect();
        for (busy, n) in busy.iter().zip([15, 25, 30, 20]) {
            busy.owes(n);
        }
        assert!(!all.iter().any(|place| is_sent_away(place)));
        busy[4].owes(25);
        let gone: Vec<bool> = all.iter().map(|place| is_sent_away(place)).collect();
        assert_eq!(gone, [false, false, false, true, false]);
        drop(busy);
        drop(all);
        assert_eq!(places.held().owed, 0);
        assert!(places.held().of.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_visitor() {
        let same = ["2001:db8::1", "2001:db8::ffff:0:1"].map(|it| visitor(it.parse().unwrap()));
        assert_eq!(same[0], same[1]);
        assert_ne!(same[0], visitor("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(visitor("::ffff:192.0.2.1".parse().unwrap()), at(1));
    }
}
