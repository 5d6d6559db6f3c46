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

/// Primes below are tried one by one. The Baseline Requirements (§6.1.6) ask for those below 752; anybody finds more.
const TRIED: u32 = 1 << 16;

static PRIMES: LazyLock<Vec<u32>> = LazyLock::new(|| {
    let mut is_prime = vec![true; TRIED as usize];
    let mut primes = Vec::new();
    for n in 2..TRIED as usize {
        if is_prime.get(n) == Some(&true) {
            primes.extend(u32::try_from(n));
            is_prime.iter_mut().step_by(n).for_each(|it| *it = false);
        }
    }
    primes
});

/// True if the modulus has a small prime as a factor, so that it is no product of two large ones.
pub(super) fn has_small_factor(modulus: &[u8]) -> bool {
    let digits: Vec<u64> = modulus
        .rchunks(4)
        .rev()
        .map(|digit| digit.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
        .collect();
    PRIMES.iter().any(|prime| {
        let prime = u64::from(*prime);
        digits.iter().fold(0, |rest, digit| (rest << 32 | digit) % prime) == 0
    })
}

/// True if the modulus is a prime or a power of one, or shares a factor with 2ⁿ - 2 in another way: for a product of two
/// primes that were chosen as they should be, that happens by no chance. Of a prime, the private exponent is computed at
/// once, and every power of p divides out p here, since 2 to the power of n is 2 modulo p.
pub(super) fn is_power_of_prime(modulus: &[u8]) -> bool {
    let n = BigUint::from_bytes_be(modulus);
    let two = BigUint::from(2_u8);
    let power = two.modpow(&n, &n);
    let rest = match power >= two {
        true => power - two,
        false => &n + power - two,
    };
    greatest_common_divisor(n, rest) != BigUint::from(1_u8)
}

/// Euclid's.
fn greatest_common_divisor(mut a: BigUint, mut b: BigUint) -> BigUint {
    while b != BigUint::ZERO {
        let rest = &a % &b;
        a = b;
        b = rest;
    }
    a
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

    /// Primes of the form 2ⁿ - 1, and their powers, as everybody knows them.
    #[test]
    fn primes_and_their_powers_are_no_product_of_two() {
        let one = BigUint::from(1_u8);
        let mersenne = |n: u32| (&one << n) - &one;
        let is = |n: &BigUint| is_power_of_prime(&n.to_bytes_be());
        let (small, large) = (mersenne(521), mersenne(607));
        assert!(is(&mersenne(2203)));
        for power in 2..5 {
            assert!(is(&small.pow(power)), "{power}");
        }
        // Next to each other in no way, as those of keys are.
        let honest = "971a72b3c0be032841c1ece8207aa8982cc106baf3d0cbbd35c650932623704a6113f086a0a5fc446ea081061f720cdc23bff026a86f5ef655cdc411bc9e2e7b3292ae80a29b6ddbe91dbb69c3252c457cb7e5d679f31b7cc71377ae6d0b9841ef8d7be300cef3ee85a47a44dde676cd26e4578b4c7d4a519c85a8ffd4eba74dfc81ba7305a0d549d5a0a9942b48da9dbd57b5bd9a199b27ebf1a82719a04ea79c8d75f30ca17f55f67558c8d58a196719852c2a49217bab7f9457be5e542ed5c320397546fb884d29a62b5555227ed7ea5fea7efbf106e3b896ce643970abe6451128b9dceaae8714ef3647579e66a6359e981d58032633498ca483810ceedf";
        assert!(!is_power_of_prime(&hex::decode(honest).unwrap()));
        assert!(!has_small_factor(&hex::decode(honest).unwrap()));
        for factor in [2_u32, 3, 251, 257, 743, 751, 757, 65521] {
            assert!(has_small_factor(&(&large * factor).to_bytes_be()), "{factor}");
        }
        assert!(!has_small_factor(&(&large * 65537_u32).to_bytes_be()));
    }

    #[test]
    fn squares_are_told_from_what_is_next_to_them() {
        let root = BigUint::from(u64::MAX);
        let square = &root * &root;
        assert!(is_square(&square) && is_square(&BigUint::from(0_u8)));
        assert!(!is_square(&(&square + 1_u8)) && !is_square(&(&square - 1_u8)));
    }
}
