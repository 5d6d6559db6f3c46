//! Keys in the right form whose private half anybody can compute: those that broken generators have made, and those that
//! somebody makes who wants a certificate for a key that is everybody's.

use std::collections::HashSet;
use std::sync::LazyLock;

use aws_lc_rs::agreement::{Algorithm, ECDH_P256, ECDH_P384, PrivateKey};
use x509_parser::num_bigint::BigUint;

use super::key::remainder;
use crate::domain::key::KeyAlgorithm;

/// Private keys from 1 that are counted out, with their mirror images, which have the same x.
const COUNTED: u16 = 1000;
/// Steps of Fermat's method. Primes that were chosen as they should be are out of its reach by any count, and those that
/// are next to each other are found with the first step (CVE-2022-26320).
const STEPS: u32 = 100;

static P256: LazyLock<HashSet<Vec<u8>>> = LazyLock::new(|| counted(&ECDH_P256, 32));
static P384: LazyLock<HashSet<Vec<u8>>> = LazyLock::new(|| counted(&ECDH_P384, 48));

/// The x coordinates of the first multiples of the curve's generator.
fn counted(curve: &'static Algorithm, size: usize) -> HashSet<Vec<u8>> {
    let x = |n: u16| {
        let mut number = vec![0; size - 2];
        number.extend(n.to_be_bytes());
        let private = PrivateKey::from_private_key(curve, &number).ok()?;
        let point = private.compute_public_key().ok()?;
        point.as_ref().get(1..=size).map(<[u8]>::to_vec)
    };
    (1..=COUNTED).filter_map(x).collect()
}

/// True if the point with this `x` has a private key among the first, counted from either end.
pub(super) fn is_counted_out(algorithm: KeyAlgorithm, x: &[u8]) -> bool {
    match algorithm {
        KeyAlgorithm::EcdsaP256 => P256.contains(x),
        KeyAlgorithm::EcdsaP384 => P384.contains(x),
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => false,
    }
}

/// True if Fermat's method factors the modulus within [`STEPS`]: n = a² - b², with a from the root of n upwards.
pub(super) fn has_close_primes(modulus: &[u8]) -> bool {
    let n = BigUint::from_bytes_be(modulus);
    let mut a = n.sqrt();
    let mut square = &a * &a;
    if square == n {
        return true;
    }
    (0..STEPS).any(|_| {
        square += (&a << 1_u8) + 1_u8;
        a += 1_u8;
        is_square(&(&square - &n))
    })
}

fn is_square(n: &BigUint) -> bool {
    // Three of four numbers end as no square does, which needs no root to see.
    let end = n.iter_u32_digits().next().unwrap_or(0) % 16;
    if !matches!(end, 0 | 1 | 4 | 9) {
        return false;
    }
    let root = n.sqrt();
    &root * &root == *n
}

/// Primes p for which the residues of ROCA's keys are told from those of others: each of its moduli is a power of 65537
/// modulo all of them (Nemec et al., 2017). By chance that is so for one modulus in 2²⁷ or less.
const ROCA_PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// True if the modulus has the mark of ROCA (CVE-2017-15361).
pub(super) fn is_of_roca(modulus: &[u8]) -> bool {
    ROCA_PRIMES.iter().all(|prime| {
        let rest = remainder(modulus, *prime);
        let generator = 65537 % prime;
        let mut power = 1;
        loop {
            if power == rest {
                return true;
            }
            power = power * generator % prime;
            if power == 1 {
                return false;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_counted_is_there_and_the_generator_is_the_first() {
        assert_eq!((P256.len(), P384.len()), (1000, 1000));
        let generator = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
        let x = hex::decode(generator).unwrap();
        assert!(is_counted_out(KeyAlgorithm::EcdsaP256, &x));
        assert!(!is_counted_out(KeyAlgorithm::EcdsaP256, &[7; 32]));
    }

    #[test]
    fn squares_are_told_from_what_is_next_to_them() {
        let root = BigUint::from(u64::MAX);
        let square = &root * &root;
        assert!(is_square(&square) && is_square(&BigUint::from(0_u8)));
        assert!(!is_square(&(&square + 1_u8)) && !is_square(&(&square - 1_u8)));
    }
}
