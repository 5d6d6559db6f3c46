//! Fetches and reads certificate revocation lists.
