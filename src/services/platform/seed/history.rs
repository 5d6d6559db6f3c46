//! From the fleet as data to a dated list of what happened to it, oldest first. Pure: nothing is made.

use chrono::{DateTime, Duration, Utc};

use crate::domain::key::KeyAlgorithm;
use crate::services::platform::fleet::{HOSTS, LIFETIME_H, PAST, REPLACED_AT_H, Site, SiteKey, Trouble};

/// One certificate to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certified {
    /// Whose: places in [`HOSTS`] and its sites.
    pub(super) host: usize,
    pub(super) site: usize,
    /// When it is signed.
    pub(super) at: DateTime<Utc>,
    /// Which key, a place in the list of keys.
    pub(super) key: usize,
    /// The one that it replaces, a place in the list of certificates.
    pub(super) replaces: Option<usize>,
    /// Whether it was replaced.
    pub(super) past: bool,
    /// Whether it was revoked when it was replaced.
    pub(super) revoked: bool,
}

impl Certified {
    pub(super) fn site(&self) -> &'static Site {
        &HOSTS[self.host].sites[self.site]
    }
}

/// One request that came to no certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) at: DateTime<Utc>,
    /// The certificate that it is to replace.
    pub(super) replaces: usize,
    /// Which key.
    pub(super) key: usize,
    /// All names, the common name first.
    pub(super) names: Vec<String>,
    /// Whether the CA refused it; else it waits.
    pub(super) refused: bool,
}

/// All that happened.
#[derive(Debug, Default)]
pub(super) struct History {
    /// By the moment of their signature.
    pub(super) certificates: Vec<Certified>,
    /// By the moment of asking, those that were refused first.
    pub(super) requests: Vec<Asked>,
    /// The keys: how each is to be made, and the names in its CSR.
    pub(super) keys: Vec<(KeyAlgorithm, Vec<String>)>,
}

/// The history up to `now`.
pub(super) fn history(now: DateTime<Utc>) -> History {
    let mut it = History::default();
    let mut present = Vec::new();
    for (h, host) in HOSTS.iter().enumerate() {
        let mut first_key = None;
        for (s, site) in host.sites.iter().enumerate() {
            let at = now - Duration::hours(LIFETIME_H - site.left_h);
            let key = match (site.key, first_key) {
                (SiteKey::SharedOnHost, Some(first)) => first,
                (SiteKey::SharedOnHost, None) => it.new_key(KeyAlgorithm::default(), site.names()),
                (SiteKey::Own(algorithm), _) => it.new_key(algorithm, site.names()),
            };
            first_key.get_or_insert(key);
            present.push(certified(h, s, at, key));
            if let Some(past) = PAST.iter().find(|past| past.name == site.name) {
                let key = it.new_key(KeyAlgorithm::default(), site.names());
                it.certificates.push(Certified {
                    past: true,
                    revoked: past.revoked,
                    ..certified(h, s, at - Duration::hours(REPLACED_AT_H), key)
                });
            }
        }
    }
    it.certificates.extend(present);
    it.certificates.sort_by_key(|certified| certified.at);
    for i in 0..it.certificates.len() {
        let (host, site) = (it.certificates[i].host, it.certificates[i].site);
        it.certificates[i].replaces = it.certificates[..i]
            .iter()
            .position(|earlier| (earlier.host, earlier.site) == (host, site));
    }
    it.ask(now);
    it
}

impl History {
    fn new_key(&mut self, algorithm: KeyAlgorithm, names: Vec<String>) -> usize {
        self.keys.push((algorithm, names));
        self.keys.len() - 1
    }

    fn ask(&mut self, now: DateTime<Utc>) {
        let mut requests = Vec::new();
        for replaces in 0..self.certificates.len() {
            let certified = &self.certificates[replaces];
            if certified.past {
                continue;
            }
            let site = certified.site();
            let mut names = site.names();
            let (refused, ago) = match site.trouble {
                Trouble::RefusedName(name) => {
                    names.push(name.to_owned());
                    (true, Duration::hours(3))
                }
                Trouble::WaitsOnCa => (false, Duration::minutes(40)),
                Trouble::None | Trouble::NotReloaded => continue,
            };
            let key = self.new_key(KeyAlgorithm::default(), names.clone());
            requests.push(Asked {
                at: now - ago,
                replaces,
                key,
                names,
                refused,
            });
        }
        requests.sort_by_key(|asked| !asked.refused);
        // Not all in one second: people asked one after the other.
        for (i, asked) in (0..).zip(&mut requests) {
            asked.at += Duration::seconds(97 * i);
        }
        self.requests = requests;
    }
}

fn certified(host: usize, site: usize, at: DateTime<Utc>, key: usize) -> Certified {
    Certified {
        host,
        site,
        at,
        key,
        replaces: None,
        past: false,
        revoked: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_in_order_and_every_successor_follows_its_predecessor() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let it = history(now);
        assert!(it.certificates.len() >= 64);
        assert!(it.certificates.is_sorted_by_key(|certified| certified.at));
        let n_replaced = it.certificates.iter().filter(|c| c.replaces.is_some()).count();
        assert_eq!(n_replaced, PAST.len());
        for (i, certified) in it.certificates.iter().enumerate() {
            assert!(certified.at < now);
            if let Some(replaces) = certified.replaces {
                assert!(replaces < i && it.certificates[replaces].past);
            }
        }
        assert!(it.requests.iter().filter(|asked| !asked.refused).count() >= 3);
        assert!(it.requests.iter().all(|asked| asked.at < now));
    }

    #[test]
    fn one_key_is_shared_by_several_certificates() {
        let it = history(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let n_shared = (0..it.keys.len())
            .filter(|key| it.certificates.iter().filter(|c| c.key == *key).count() > 2)
            .count();
        assert_eq!(n_shared, 1);
    }
}
