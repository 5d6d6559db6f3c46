//! The bundled Vault-compatible server.
