//! The issuer: has requests signed and certificates revoked at the CA.
