//! Places of one certificate behind one address: a reissue gives each of them a certificate of its own, and a server shows
//! one of these for a name. An agent takes back what isn't shown.

use std::collections::BTreeMap;

use crate::domain::installation::Installation;

/// True if another one of these places is behind the address of this one.
pub(super) fn is_shared(place: &Installation, places: &[&Installation]) -> bool {
    let is_here = |it: &&&Installation| it.tls_address == place.tls_address;
    place.tls_address.is_some() && places.iter().filter(is_here).count() > 1
}

/// A line for each address with several of these places of a certificate with this name.
pub(super) fn lines(name: &str, places: &[&Installation]) -> Vec<String> {
    let mut by_address: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for place in places.iter().filter(|it| is_shared(it, places)) {
        if let Some(address) = &place.tls_address {
            by_address.entry(address).or_default().push(&place.path);
        }
    }
    let lines = by_address.into_iter().map(|(address, paths)| {
        format!(
            "{address} is one address for {}: where its server shows one certificate for {name}, the installations of the \
             others fail. Install one and the same in all of them afterwards.",
            paths.join(" and ")
        )
    });
    lines.collect()
}
