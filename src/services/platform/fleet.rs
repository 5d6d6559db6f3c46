//! The demo's fleet as data: hosts, what is installed on them, how old it is, and which trouble each
//! one has. Nothing is made here; `seed` makes it.

use crate::domain::key::KeyAlgorithm;

/// How long every certificate of the demo lives, in hours.
pub(super) const LIFETIME_H: i64 = 90 * 24;

/// One host.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: &'static str,
    pub(super) presence: Presence,
    pub(super) sites: &'static [Site],
}

impl Host {
    /// The team that runs it.
    pub(super) fn owner(&self) -> &'static str {
        match self.name.split('-').next() {
            Some("web") => "shop",
            Some("api") => "payments",
            Some("cdn") => "edge",
            Some("db") => "data",
            Some("mail") => "office-it",
            _ => "network",
        }
    }
}

/// How a host is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// Its agent checks in.
    Reports,
    /// Its agent backed off after errors and won't check in by itself for hours, but answers when woken.
    BackedOff,
    /// Nobody listens there any more.
    Gone,
}

/// One certificate at one path.
#[derive(Debug)]
pub(super) struct Site {
    /// The common name.
    pub(super) name: &'static str,
    /// Further names.
    pub(super) also: &'static [&'static str],
    /// Hours until it expires; negative: since.
    pub(super) left_h: i64,
    pub(super) key: SiteKey,
    /// What is the matter with it.
    pub(super) trouble: Trouble,
}

/// Where a site's key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SiteKey {
    /// One of its own.
    Own(KeyAlgorithm),
    /// The host's first key, shared: what nobody should do.
    SharedOnHost,
}

/// What is the matter with a site, beyond its date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nothing.
    None,
    /// Renewed on disk, but the server was never reloaded: the old one is served.
    NotReloaded,
    /// A reissue waits for the sealed Vault.
    WaitsOnCa,
    /// A request for it with this further name was refused by the CA's role.
    RefusedName(&'static str),
}

const fn site(name: &'static str, left_h: i64) -> Site {
    Site {
        name,
        also: &[],
        left_h,
        key: SiteKey::Own(KeyAlgorithm::EcdsaP256),
        trouble: Trouble::None,
    }
}

impl Site {
    const fn also(mut self, also: &'static [&'static str]) -> Self {
        self.also = also;
        self
    }

    const fn key(mut self, key: SiteKey) -> Self {
        self.key = key;
        self
    }

    const fn trouble(mut self, trouble: Trouble) -> Self {
        self.trouble = trouble;
        self
    }

    /// All its names, the common name first.
    pub(super) fn names(&self) -> Vec<String> {
        std::iter::once(&self.name)
            .chain(self.also)
            .map(|name| (*name).to_owned())
            .collect()
    }
}

const fn host(name: &'static str, sites: &'static [Site]) -> Host {
    Host {
        name,
        presence: Presence::Reports,
        sites,
    }
}

/// Days in hours.
const fn d(days: i64) -> i64 {
    days * 24
}

const RSA: SiteKey = SiteKey::Own(KeyAlgorithm::Rsa2048);
const P384: SiteKey = SiteKey::Own(KeyAlgorithm::EcdsaP384);

/// The fleet. The order gives the ports.
pub(super) const HOSTS: [Host; 15] = [
    host(
        "web-01",
        &[
            site("www.example.com", d(61) + 3).also(&["example.com"]),
            site("shop.example.com", 5).trouble(Trouble::WaitsOnCa),
            site("blog.example.com", d(41)),
            site("static.example.com", d(77)).key(RSA),
        ],
    ),
    host(
        "web-02",
        &[
            site("www-2.example.com", d(58) + 7),
            site("status.example.com", d(35)),
            site("careers.example.com", d(70)),
            site("events.example.com", d(48)),
        ],
    ),
    host(
        "web-03",
        &[
            site("account.example.com", -6).also(&["accounts.example.com"]),
            site("login.example.com", d(52)).key(P384),
            site("help.example.com", d(66)),
            site("docs.example.com", d(39)),
        ],
    ),
    host(
        "web-04",
        &[
            site("press.example.com", d(88)).trouble(Trouble::NotReloaded),
            site("partners.example.com", d(44)),
            site("legal.example.com", d(73)),
            site("community.example.com", d(56)),
        ],
    ),
    host(
        "api-01",
        &[
            site("api.example.com", d(63)).also(&["api-01.example.com"]),
            site("auth.example.com", 11).trouble(Trouble::WaitsOnCa),
            site("hooks.example.com", d(50)),
            site("graphql.example.com", d(82)),
        ],
    ),
    Host {
        name: "api-02",
        presence: Presence::BackedOff,
        sites: &[
            site("api-02.example.com", d(33)),
            site("payments.example.com", d(3) + 4),
            site("invoices.example.com", d(47)),
            site("tokens.example.com", d(69)),
        ],
    },
    host(
        "api-03",
        &[
            site("api-03.example.com", d(71)),
            site("search.example.com", d(4) + 9).trouble(Trouble::WaitsOnCa),
            site("geo.example.com", d(54)),
            site("push.example.com", d(38)),
        ],
    ),
    host(
        "db-01",
        &[
            site("db-01.example.com", d(60)).also(&["db.example.com"]),
            site("replica.db-01.example.com", d(79)),
            site("backup.db-01.example.com", d(6)),
            site("metrics.db-01.example.com", d(45)),
        ],
    ),
    host(
        "db-02",
        &[
            site("db-02.example.com", d(62)),
            site("replica.db-02.example.com", d(80)),
            site("backup.db-02.example.com", d(49)),
            site("metrics.db-02.example.com", d(32)),
        ],
    ),
    host(
        "cdn-01",
        &[
            site("cdn.example.com", d(65)).also(&["cdn-01.example.com"]),
            site("img.example.com", d(5) + 2).trouble(Trouble::WaitsOnCa),
            site("video.example.com", d(57)),
            site("fonts.example.com", d(84)),
        ],
    ),
    host(
        "cdn-02",
        &[
            site("cdn-02.example.com", d(2) + 6).trouble(Trouble::RefusedName("cdn.example.net")),
            site("img-2.example.com", d(43)),
            site("video-2.example.com", d(67)),
            site("maps.example.com", d(75)),
        ],
    ),
    host(
        "cdn-03",
        &[
            site("cdn-03.example.com", d(53)),
            site("img-3.example.com", d(37)),
            site("downloads.example.com", d(24)),
            site("mirror.example.com", d(86)),
        ],
    ),
    host(
        "mail-01",
        &[
            site("mx1.example.com", d(46)),
            site("smtp.example.com", d(46)).key(SiteKey::SharedOnHost),
            site("imap.example.com", d(40)).key(SiteKey::SharedOnHost),
            site("autodiscover.example.com", d(64)),
        ],
    ),
    host(
        "mail-02",
        &[
            site("mx2.example.com", d(59)),
            site("webmail.example.com", d(19)),
            site("lists.example.com", d(72)),
            site("calendar.example.com", d(83)),
        ],
    ),
    Host {
        name: "vpn-01",
        presence: Presence::Gone,
        sites: &[
            site("vpn.example.com", d(2)),
            site("vpn-admin.example.com", d(36)),
        ],
    },
];

/// What was there before: the predecessor of the site of that name.
pub(super) struct Past {
    /// The site's name.
    pub(super) name: &'static str,
    /// Whether it was revoked when it was replaced.
    pub(super) revoked: bool,
}

/// How old a certificate of the past was when it was replaced, in hours.
pub(super) const REPLACED_AT_H: i64 = d(80);

/// Certificates of the past.
pub(super) const PAST: [Past; 15] = [
    past("www.example.com"),
    past("shop.example.com"),
    past("blog.example.com"),
    past("account.example.com"),
    past("login.example.com"),
    past("api.example.com"),
    past("auth.example.com"),
    past("payments.example.com"),
    past("search.example.com"),
    past("db-01.example.com"),
    past("cdn.example.com"),
    past("cdn-02.example.com"),
    past("webmail.example.com"),
    past("press.example.com"),
    Past {
        name: "tokens.example.com",
        revoked: true,
    },
];

const fn past(name: &'static str) -> Past {
    Past { name, revoked: false }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn sites() -> impl Iterator<Item = &'static Site> {
        HOSTS.iter().flat_map(|host| host.sites)
    }

    #[test]
    fn it_is_as_large_as_promised() {
        let n_live = HOSTS
            .iter()
            .filter(|host| host.presence != Presence::Gone)
            .count();
        assert!(n_live >= 14, "{n_live} agents");
        let n_certificates = sites().count() + PAST.len();
        assert!(n_certificates >= 64, "{n_certificates} certificates");
    }

    #[test]
    fn every_trouble_is_there() {
        let n = |trouble: Trouble| sites().filter(|site| site.trouble == trouble).count();
        assert_eq!(n(Trouble::NotReloaded), 1);
        let not_reloaded = sites().find(|site| site.trouble == Trouble::NotReloaded).unwrap();
        assert!(
            PAST.iter().any(|past| past.name == not_reloaded.name),
            "there is an old one to serve"
        );
        assert!(n(Trouble::WaitsOnCa) >= 3);
        assert_eq!(
            sites()
                .filter(|site| matches!(site.trouble, Trouble::RefusedName(_)))
                .count(),
            1
        );
        assert_eq!(
            sites().filter(|site| site.left_h < 0).count(),
            1,
            "expired in use"
        );
        assert_eq!(
            sites().filter(|site| (0..24).contains(&site.left_h)).count(),
            2,
            "hours"
        );
        assert!(
            sites().filter(|site| (24..24 * 7).contains(&site.left_h)).count() >= 4,
            "days"
        );
        for presence in [Presence::BackedOff, Presence::Gone] {
            assert_eq!(HOSTS.iter().filter(|host| host.presence == presence).count(), 1);
        }
    }

    #[test]
    fn names_are_unique_and_the_past_belongs_to_somebody() {
        let names: Vec<String> = sites().flat_map(Site::names).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        for past in &PAST {
            assert!(sites().any(|site| site.name == past.name), "{}", past.name);
        }
    }

    #[test]
    fn the_first_key_of_a_host_is_never_a_shared_one() {
        for host in &HOSTS {
            assert_ne!(host.sites[0].key, SiteKey::SharedOnHost, "{}", host.name);
        }
    }
}
