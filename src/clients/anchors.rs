//! The roots that this machine trusts. They are read once: a change of them counts with the next start, as for
//! everything else that is read there.

use std::sync::LazyLock;

static ROOTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let roots = rustls_native_certs::load_native_certs().certs;
    roots.iter().map(|root| root.to_vec()).collect()
});

/// All of them, in DER.
#[must_use]
pub fn of_this_machine() -> &'static [Vec<u8>] {
    &ROOTS
}
