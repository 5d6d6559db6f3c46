//! Vault or OpenBao, through `vaultrs`.
