"""Certification requests of all sorts, as one line of JSON each, and certificates read by two other programs.

    cases.py make N            writes N cases to standard output
    cases.py read CASES BUNDLE compares the certificates of the PEM bundle with the accepted cases, one a line

A case says what it asks the platform for (`names`, as somebody types them), what these are in their one spelling
(`spelt`), and whether its CSR has to be accepted. Keys are made once and used again where the CSR is refused.
"""

import base64
import ipaddress
import json
import random
import re
import subprocess
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

SEED = 20261129


# DER by hand, so that it can be wrong.


def tlv(tag, *parts):
    content = b"".join(parts)
    n = len(content)
    if n < 0x80:
        return bytes([tag, n]) + content
    size = (n.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + n.to_bytes(size, "big") + content


def seq(*parts):
    return tlv(0x30, *parts)


def oid(text):
    first, second, *rest = [int(part) for part in text.split(".")]
    content = bytearray([first * 40 + second])
    for arc in rest:
        digits = [arc & 0x7F]
        while arc := arc >> 7:
            digits.append(0x80 | arc & 0x7F)
        content += bytes(reversed(digits))
    return tlv(6, bytes(content))


def integer(n):
    return tlv(2, n.to_bytes(n.bit_length() // 8 + 1, "big"))


def bits(content, unused=0):
    return tlv(3, bytes([unused]), content)


NULL = b"\x05\x00"
TRUE = b"\x01\x01\xff"
EC, P256, P384 = oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7"), oid("1.3.132.0.34")
RSA = oid("1.2.840.113549.1.1.1")
CN, ORGANISATION, EMAIL = oid("2.5.4.3"), oid("2.5.4.10"), oid("1.2.840.113549.1.9.1")
EXTENSION_REQUEST, CHALLENGE = oid("1.2.840.113549.1.9.14"), oid("1.2.840.113549.1.9.7")
SAN, BASIC, USAGE, OTHER = oid("2.5.29.17"), oid("2.5.29.19"), oid("2.5.29.15"), oid("1.3.6.1.4.1.99999.1")
HASHES = {256: hashes.SHA256(), 384: hashes.SHA384(), 512: hashes.SHA512(), 1: hashes.SHA1()}
ECDSA = {256: oid("1.2.840.10045.4.3.2"), 384: oid("1.2.840.10045.4.3.3"), 1: oid("1.2.840.10045.4.1")}
RSA_WITH = {
    256: oid("1.2.840.113549.1.1.11"),
    384: oid("1.2.840.113549.1.1.12"),
    512: oid("1.2.840.113549.1.1.13"),
    1: oid("1.2.840.113549.1.1.5"),
}


def rdn(kind, text, tag=0x0C):
    return seq(kind, tlv(tag, text if isinstance(text, bytes) else text.encode()))


def general_name(name):
    try:
        return tlv(0x87, ipaddress.ip_address(name).packed)
    except ValueError:
        return tlv(0x82, name.encode())


def alternative(names, critical=b""):
    return seq(SAN, critical, tlv(4, seq(*[general_name(name) for name in names])))


def asked(*extensions):
    return seq(EXTENSION_REQUEST, tlv(0x31, seq(*extensions)))


class Key:
    """A private key with its SubjectPublicKeyInfo in canonical form."""

    def __init__(self, private, word):
        self.private, self.word = private, word
        self.spki = private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.is_rsa = isinstance(private, rsa.RSAPrivateKey)

    def sign(self, message, size=256):
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return self.private.sign(message), seq(oid("1.3.101.112"))
        if self.is_rsa:
            return self.private.sign(message, padding.PKCS1v15(), HASHES[size]), seq(RSA_WITH[size], NULL)
        return self.private.sign(message, ec.ECDSA(HASHES[size])), seq(ECDSA[size])

    def point(self):
        numbers = self.private.public_key().public_numbers()
        size = (self.private.curve.key_size + 7) // 8
        return numbers.x.to_bytes(size, "big"), numbers.y.to_bytes(size, "big")


def fresh(curve=ec.SECP256R1()):
    return Key(ec.generate_private_key(curve), "ecdsa-p384" if curve.name == "secp384r1" else "ecdsa-p256")


def of_rsa(size, exponent=65537):
    return Key(rsa.generate_private_key(exponent, size), f"rsa-{size}")


def is_prime(n):
    """Miller and Rabin's test, after the small factors."""
    if any(n % p == 0 for p in range(3, 2000, 2)):
        return False
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(8):
        x = pow(RANDOM.randrange(2, n - 1), odd, n)
        if x in (1, n - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def prime_from(n):
    while not is_prime(n) or n % 65537 == 1:
        n += 2
    return n


def of_primes(p, q):
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    return Key(numbers.private_key(unsafe_skip_rsa_key_validation=True), "rsa-2048")


class Computed(Key):
    """An RSA key of one prime, or of a small one and a large one, whose private exponent anybody computes."""

    def __init__(self, n, phi):
        self.n, self.d, self.word, self.is_rsa = n, pow(65537, -1, phi), "rsa-2048", True
        self.private = self
        self.spki = seq(seq(RSA, NULL), bits(seq(integer(n), integer(65537))))

    def public_key(self):
        return rsa.RSAPublicNumbers(65537, self.n).public_key()

    def sign(self, message, size=256):
        names = {256: "2.16.840.1.101.3.4.2.1", 384: "2.16.840.1.101.3.4.2.2", 512: "2.16.840.1.101.3.4.2.3"}
        names[1] = "1.3.14.3.2.26"
        digest = hashes.Hash(HASHES[size])
        digest.update(message)
        info = seq(seq(oid(names[size]), NULL), tlv(4, digest.finalize()))
        padded = b"\x00\x01" + b"\xff" * (256 - 3 - len(info)) + b"\x00" + info
        signature = pow(int.from_bytes(padded, "big"), self.d, self.n)
        return signature.to_bytes(256, "big"), seq(RSA_WITH[size], NULL)


def of_one_prime():
    p = prime_from(RANDOM.getrandbits(2048) | 1 << 2047 | 1)
    return Computed(p, p - 1)


def with_small_factor(small):
    p = prime_from(((1 << 2047) + RANDOM.getrandbits(2046)) // small | 1)
    return Computed(p * small, (p - 1) * (small - 1))


def with_close_primes():
    p = prime_from(RANDOM.getrandbits(1024) | 3 << 1022 | 1)
    return of_primes(p, prime_from(p + 2))


def of_a_roca_chip():
    """Primes of the form k * M + 65537**a mod M, M being the product of the first 126 primes (CVE-2017-15361)."""
    product = 1
    for p in [n for n in range(2, 702) if all(n % by for by in range(2, n))]:
        product *= p

    def prime():
        rest = pow(65537, RANDOM.getrandbits(60), product)
        k = (3 << 1022) // product + RANDOM.getrandbits(40)
        while not is_prime(k * product + rest) or (k * product + rest) % 65537 == 1:
            k += 1
        return k * product + rest

    return of_primes(prime(), prime())


def small_keys():
    keys = []
    for curve, order, word in [
        (ec.SECP256R1(), 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551, "ecdsa-p256"),
        (
            ec.SECP384R1(),
            0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
            "ecdsa-p384",
        ),
    ]:
        for d in [1, 2, 3, 1000, order - 1, order - 2]:
            keys.append(Key(ec.derive_private_key(d, curve), word))
    return keys


def has_common_name(one):
    return len(one) <= 64 and ":" not in one


class Request:
    """The parts of a CSR, each of which can be replaced before it is signed."""

    def __init__(self, key, spelt):
        self.key, self.spelt = key, spelt
        self.version = integer(0)
        self.subject = seq(tlv(0x31, rdn(CN, spelt[0]))) if has_common_name(spelt[0]) else seq()
        self.spki = key.spki
        self.attributes = asked(alternative(spelt))
        self.size, self.algorithm = 256, None
        self.signature = lambda it: it
        self.whole = lambda it: it

    def der(self):
        info = seq(self.version, self.subject, self.spki, tlv(0xA0, self.attributes))
        signature, algorithm = self.key.sign(info, self.size)
        algorithm = self.algorithm if self.algorithm is not None else algorithm
        return self.whole(seq(info, algorithm, bits(self.signature(signature))))


# What is done to a request. Each says whether it may still be accepted.

REFUSED = {}
TAKEN = {}


def refused(change):
    REFUSED[change.__name__] = change


def taken(change):
    TAKEN[change.__name__] = change


@taken
def as_it_is(it):
    pass


@taken
def printable_common_name(it):
    if has_common_name(it.spelt[0]) and re.fullmatch(r"[A-Za-z0-9 '()+,./:=?-]*", it.spelt[0]):
        it.subject = seq(tlv(0x31, rdn(CN, it.spelt[0], 0x13)))


@taken
def no_common_name(it):
    it.subject = seq()


@taken
def critical_names(it):
    it.attributes = asked(alternative(it.spelt, TRUE))


@taken
def sha384(it):
    it.size = 384


@taken
def names_in_another_order(it):
    it.attributes = asked(alternative(list(reversed(it.spelt))))


@refused
def several_common_names(it):
    names = [it.spelt[0], "evil.example.com"]
    RANDOM.shuffle(names)
    it.subject = seq(*[tlv(0x31, rdn(CN, name)) for name in names])


@refused
def multi_valued_rdn(it):
    it.subject = seq(tlv(0x31, *sorted([rdn(CN, it.spelt[0]), rdn(CN, "evil.example.com")])))


@refused
def other_subject(it):
    other = RANDOM.choice([rdn(ORGANISATION, "Example"), rdn(EMAIL, "a@example.com", 0x16)])
    parts = [tlv(0x31, rdn(CN, it.spelt[0])), tlv(0x31, other)]
    RANDOM.shuffle(parts)
    it.subject = seq(*parts)


@refused
def another_common_name(it):
    it.subject = seq(tlv(0x31, rdn(CN, RANDOM.choice(["evil.example.com", it.spelt[0] + ".", "", it.spelt[0].upper() + "X"]))))


@refused
def common_name_of_another_type(it):
    tag, text = RANDOM.choice([(0x1E, it.spelt[0].encode("utf-16-be")), (0x14, it.spelt[0].encode()), (0x16, it.spelt[0].encode())])
    it.subject = seq(tlv(0x31, rdn(CN, text, tag)))


@refused
def nul_in_common_name(it):
    it.subject = seq(tlv(0x31, rdn(CN, it.spelt[0] + "\0.evil.example.com")))


@refused
def long_common_name(it):
    it.subject = seq(tlv(0x31, rdn(CN, "a" * 65 + ".example.com")))


@refused
def two_name_extensions(it):
    it.attributes = asked(alternative(it.spelt), alternative(["evil.example.com"]))


@refused
def two_extension_requests(it):
    it.attributes = asked(alternative(it.spelt)) + asked(alternative(["evil.example.com"]))


@refused
def two_values_in_the_attribute(it):
    it.attributes = seq(EXTENSION_REQUEST, tlv(0x31, seq(alternative(it.spelt)), seq(alternative(["evil.example.com"]))))


@refused
def asks_to_be_a_ca(it):
    it.attributes = asked(seq(BASIC, TRUE, tlv(4, seq(TRUE))), alternative(it.spelt))


@refused
def asks_for_usages(it):
    it.attributes = asked(alternative(it.spelt), seq(USAGE, TRUE, tlv(4, bits(b"\x06", 1))))


@refused
def unknown_extension(it):
    it.attributes = asked(alternative(it.spelt), seq(OTHER, tlv(4, NULL)))


@refused
def unknown_attribute(it):
    it.attributes = it.attributes + seq(RANDOM.choice([OTHER, CHALLENGE]), tlv(0x31, tlv(0x0C, b"x")))


@refused
def no_names(it):
    it.attributes = b""


@refused
def empty_names(it):
    it.attributes = asked(seq(SAN, tlv(4, seq())))


@refused
def one_name_more(it):
    it.attributes = asked(alternative(it.spelt + [RANDOM.choice(["evil.example.com", "10.9.9.9", "*.example.com"])]))


@refused
def a_thousand_names(it):
    it.attributes = asked(alternative(it.spelt + [f"n{n}.example.com" for n in range(1000)]))


@refused
def a_name_twice(it):
    it.attributes = asked(alternative(it.spelt + it.spelt[:1]))


@refused
def names_in_capitals(it):
    it.attributes = asked(alternative([name.upper() + "." for name in it.spelt]))


@refused
def unicode_name(it):
    it.attributes = asked(alternative(it.spelt + ["b\u00fccher.example.com"]))


@refused
def a_name_of_another_kind(it):
    other = RANDOM.choice(
        [
            tlv(0x81, b"a@example.com"),
            tlv(0x86, b"https://evil.example.com/"),
            tlv(0xA4, seq(tlv(0x31, rdn(CN, "evil.example.com")))),
            tlv(0xA0, oid("1.3.6.1.4.1.311.20.2.3"), tlv(0xA0, tlv(0x0C, b"evil@example.com"))),
            tlv(0x87, b"\x01\x02\x03"),
        ]
    )
    it.attributes = asked(seq(SAN, tlv(4, seq(*[general_name(name) for name in it.spelt], other))))


@refused
def default_written_out(it):
    it.attributes = asked(alternative(it.spelt, b"\x01\x01\x00"))


@refused
def odd_true(it):
    it.attributes = asked(alternative(it.spelt, b"\x01\x01\x01"))


@refused
def another_version(it):
    it.version = integer(RANDOM.choice([1, 2]))


@refused
def padded_version(it):
    it.version = b"\x02\x02\x00\x00"


@refused
def compressed_point(it):
    x, y = it.key.point()
    it.spki = seq(seq(EC, P256), bits(bytes([2 + (y[-1] & 1)]) + x))


@refused
def hybrid_point(it):
    x, y = it.key.point()
    it.spki = seq(seq(EC, P256), bits(bytes([6 + (y[-1] & 1)]) + x + y))


@refused
def point_off_the_curve(it):
    x, y = it.key.point()
    it.spki = seq(seq(EC, P256), bits(b"\x04" + x + y[:-1] + bytes([y[-1] ^ 1])))


@refused
def point_at_infinity(it):
    it.spki = seq(seq(EC, P256), bits(b"\x00"))


@refused
def explicit_curve(it):
    x, y = it.key.point()
    p = 2**256 - 2**224 + 2**192 + 2**96 - 1
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    g = bytes.fromhex(
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
    )
    n = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    field = seq(oid("1.2.840.10045.1.1"), integer(p))
    curve = seq(tlv(4, (p - 3).to_bytes(32, "big")), tlv(4, b.to_bytes(32, "big")))
    explicit = seq(integer(1), field, curve, tlv(4, g), integer(n), integer(1))
    it.spki = seq(seq(EC, explicit), bits(b"\x04" + x + y))


@refused
def no_curve(it):
    x, y = it.key.point()
    it.spki = seq(seq(EC), bits(b"\x04" + x + y))


@refused
def another_curves_name(it):
    x, y = it.key.point()
    it.spki = seq(seq(EC, P384), bits(b"\x04" + x + y))


@refused
def unused_bits(it):
    x, y = it.key.point()
    it.spki = seq(seq(EC, P256), bits(b"\x04" + x + y, 1))


def with_rsa(it, key):
    """The request asks for a key of its own kind, so that only its form can be what is refused."""
    it.key, it.spki = key, key.spki


@refused
def rsa_without_null(it):
    with_rsa(it, RSA_KEY)
    numbers = it.key.private.public_key().public_numbers()
    it.spki = seq(seq(RSA), bits(seq(integer(numbers.n), integer(numbers.e))))


@refused
def another_exponent(it):
    with_rsa(it, RANDOM.choice(ODD_EXPONENTS))


@refused
def same_modulus_with_another_exponent(it):
    with_rsa(it, RSA_KEY)
    it.spki = seq(seq(RSA, NULL), bits(seq(integer(it.key.private.public_key().public_numbers().n), integer(3))))


@refused
def padded_modulus(it):
    with_rsa(it, RSA_KEY)
    numbers = it.key.private.public_key().public_numbers()
    modulus = b"\0\0" + numbers.n.to_bytes(256, "big")
    it.spki = seq(seq(RSA, NULL), bits(seq(tlv(2, modulus), integer(numbers.e))))


@refused
def negative_modulus(it):
    with_rsa(it, RSA_KEY)
    numbers = it.key.private.public_key().public_numbers()
    it.spki = seq(seq(RSA, NULL), bits(seq(tlv(2, numbers.n.to_bytes(256, "big")), integer(numbers.e))))


@refused
def even_modulus(it):
    with_rsa(it, RSA_KEY)
    numbers = it.key.private.public_key().public_numbers()
    it.spki = seq(seq(RSA, NULL), bits(seq(integer(numbers.n - 1), integer(numbers.e))))


@refused
def weak_key(it):
    with_rsa(it, WEAK_RSA)


@refused
def one_prime(it):
    with_rsa(it, ONE_PRIME)


@refused
def a_small_factor(it):
    with_rsa(it, RANDOM.choice(SMALL_FACTORS))


@refused
def primes_next_to_each_other(it):
    with_rsa(it, CLOSE_PRIMES)


@refused
def key_of_a_roca_chip(it):
    with_rsa(it, ROCA)


@refused
def small_private_key(it):
    it.key = RANDOM.choice(SMALL_KEYS)
    it.spki = it.key.spki


@refused
def key_of_another_kind(it):
    with_rsa(it, ED25519)


@refused
def signed_with_sha1(it):
    it.size = 1


@refused
def wrong_signature(it):
    def other(signature):
        at = RANDOM.randrange(8, len(signature))
        return signature[:at] + bytes([signature[at] ^ 1 << RANDOM.randrange(8)]) + signature[at + 1 :]

    it.signature = other


@refused
def signed_by_another_key(it):
    it.key = EC_KEY if it.key is not EC_KEY else OTHER_EC_KEY


@refused
def no_signature(it):
    it.signature = lambda _: b""


@refused
def null_beside_ecdsa(it):
    it.algorithm = seq(ECDSA[256], NULL)


@refused
def signature_said_to_be_another(it):
    it.algorithm = RANDOM.choice([seq(ECDSA[384]), seq(RSA_WITH[256], NULL), seq(oid("1.2.840.113549.1.1.10"), seq())])


@refused
def trailing_bytes(it):
    it.whole = lambda der: der + RANDOM.choice([b"\0", b"\0\0", der])


@refused
def long_length(it):
    def ber(der):
        size = der[1] & 0x7F
        return bytes([der[0], 0x80 | size + 1, 0]) + der[2:]

    it.whole = ber


@refused
def indefinite_length(it):
    def ber(der):
        return b"\x30\x80" + der[2 + (der[1] & 0x7F) :] + b"\0\0"

    it.whole = ber


@refused
def constructed_string(it):
    it.subject = seq(tlv(0x31, seq(CN, tlv(0x2C, tlv(0x0C, it.spelt[0].encode())))))


@refused
def ber_in_the_names(it):
    names = b"".join(general_name(name) for name in it.spelt)
    it.attributes = asked(seq(SAN, tlv(4, b"\x30\x80" + names + b"\0\0")))


@refused
def cut_off(it):
    it.whole = lambda der: der[: RANDOM.randrange(1, len(der))]


@refused
def nothing_but_noise(it):
    it.whole = lambda der: RANDOM.randbytes(RANDOM.randrange(1, 300))


@refused
def one_bit_turned(it):
    def turned(der):
        at = RANDOM.randrange(len(der))
        return der[:at] + bytes([der[at] ^ 1 << RANDOM.randrange(8)]) + der[at + 1 :]

    it.whole = turned


def spellings(name):
    """Another way to type a name that means the same one."""
    try:
        address = ipaddress.ip_address(name)
        return RANDOM.choice([name, address.exploded.upper() if address.version == 6 else name])
    except ValueError:
        pass
    name = name.replace("xn--bcher-kva", "B\u00fccher").replace("xn--strae-oqa", "stra\u00dfe")
    return RANDOM.choice([name, name.upper() if name.isascii() else name.title(), name + "."])


def name(i):
    kind = RANDOM.randrange(10)
    if kind < 4:
        return f"h{i}-{RANDOM.randrange(1 << 32):x}.example.com"
    if kind == 4:
        return f"*.w{i}.example.com"
    if kind == 5:
        return str(ipaddress.IPv4Address(RANDOM.randrange(1 << 24, 0xDF << 24)))
    if kind == 6:
        return str(ipaddress.IPv6Address(0x20010DB8 << 96 | RANDOM.randrange(1 << 64)))
    if kind == 7:
        return f"xn--bcher-kva.i{i}.example.com"
    if kind == 8:
        return f"{'l' * 60}.i{i}.example.com"
    return f"xn--strae-oqa.i{i}.example.com"


def case(i, key=None, change=None):
    spelt = []
    for n in range(RANDOM.choice([1, 1, 1, 2, 3, 5])):
        one = name(f"{i}-{n}")
        if one not in spelt:
            spelt.append(one)
    if change is None:
        # Mostly refused: what is accepted is really signed.
        change = RANDOM.choice(list(TAKEN) if RANDOM.random() < 0.1 else list(REFUSED))
    accepted = change in TAKEN
    if accepted:
        key = key or fresh(ec.SECP384R1() if RANDOM.random() < 0.1 else ec.SECP256R1())
    else:
        key = EC_KEY
    it = Request(key, spelt)
    (TAKEN if accepted else REFUSED)[change](it)
    der = it.der()
    return {
        "change": change,
        "accepted": accepted,
        "names": [spellings(one) for one in spelt],
        "spelt": spelt,
        # As the request says it, so that only the CSR's form can be what is refused.
        "key_algorithm": "rsa-2048" if it.key is WEAK_RSA else it.key.word,
        "spki": key.spki.hex(),
        "csr": base64.b64encode(der).decode(),
    }


def make(n):
    for i in range(n - 8):
        print(json.dumps(case(i)))
    # Those whose keys take long to make.
    for i, key in enumerate([of_rsa(2048), of_rsa(2048), of_rsa(3072), of_rsa(4096)]):
        print(json.dumps(case(f"r{i}", key, "as_it_is")))
    for i in range(4):
        print(json.dumps(case(f"p{i}", fresh(ec.SECP384R1()), "as_it_is")))


# Reading.


def in_words(names):
    return sorted(f"{'IP' if kind is x509.IPAddress else 'DNS'}:{value}" for kind, value in names)


def wanted(case):
    names = []
    for one in case["spelt"]:
        try:
            names.append((x509.IPAddress, ipaddress.ip_address(one)))
        except ValueError:
            names.append((x509.DNSName, one))
    return in_words(names)


def by_cryptography(pem):
    certificate = x509.load_pem_x509_certificate(pem)
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    names = in_words((type(name), name.value) for name in extension.value)
    common = [a.value for a in certificate.subject]
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    key = certificate.public_key()
    assert usage.digital_signature and not usage.key_agreement
    assert usage.key_encipherment == isinstance(key, rsa.RSAPublicKey)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert extension.critical == (not common), "critical where the subject is empty"
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert spki in certificate.tbs_certificate_bytes, "the key is there byte for byte"
    return names, common, spki


def by_openssl(bundle):
    """Names, common name and the key's numbers of each certificate, by one run."""
    text = subprocess.run(
        ["openssl", "storeutl", "-noout", "-text", "-certs", bundle], check=True, capture_output=True, text=True
    ).stdout
    read = []
    for part in re.split(r"^\d+: Certificate$", text, flags=re.M)[1:]:
        subject = re.search(r"^\s*Subject:\s*(.*)$", part, flags=re.M)[1]
        names = re.search(r"Subject Alternative Name:.*\n\s*(.*)", part)[1]
        names = [one.strip() for one in names.split(", ")]
        names = sorted(
            f"IP:{ipaddress.ip_address(one[11:])}" if one.startswith("IP Address:") else one for one in names
        )
        key = re.search(r"(?:pub|Modulus):\n((?:\s+[0-9a-f:]+\n)+)", part)[1]
        read.append((names, re.findall(r"CN\s*=\s*([^,/]+)", subject), re.sub(r"[\s:]", "", key)))
    return read


def read(cases, bundle):
    with open(cases, encoding="utf-8") as file:
        cases = [json.loads(line) for line in file]
    with open(bundle, "rb") as file:
        pems = [part + b"-----END CERTIFICATE-----\n" for part in file.read().split(b"-----END CERTIFICATE-----\n")[:-1]]
    others = by_openssl(bundle)
    assert len(cases) == len(pems) == len(others), (len(cases), len(pems), len(others))
    for case, pem, (names, common, key) in zip(cases, pems, others):
        asked_for = wanted(case)
        ours = by_cryptography(pem)
        assert ours[0] == asked_for, (case, ours)
        assert names == asked_for, (case, names)
        assert ours[1] == common and all(name in case["spelt"] for name in common), (case, common)
        assert ours[2].hex() == case["spki"], case
        assert key.lstrip("0") in case["spki"], (case, key)
    print(len(cases))


RANDOM = random.Random(SEED)
if __name__ == "__main__" and sys.argv[1] == "make":
    EC_KEY, OTHER_EC_KEY, RSA_KEY = fresh(), fresh(), of_rsa(2048)
    ODD_EXPONENTS = [of_rsa(2048, 3)]
    WEAK_RSA = of_rsa(1024)
    CLOSE_PRIMES, ROCA, SMALL_KEYS = with_close_primes(), of_a_roca_chip(), small_keys()
    ONE_PRIME, SMALL_FACTORS = of_one_prime(), [with_small_factor(small) for small in (257, 751, 757)]
    ED25519 = Key(ed25519.Ed25519PrivateKey.generate(), "ecdsa-p256")
    make(int(sys.argv[2]))
elif __name__ == "__main__":
    read(sys.argv[2], sys.argv[3])
