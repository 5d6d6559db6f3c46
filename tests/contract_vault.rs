//! What the platform relies on at Vault, over real HTTP: each contract is held by the bundled server and by
//! a real `vault` or `bao`, where there is one (`CMP_TEST_VAULT`, or on PATH). Where they differ, the real one
//! is right.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may panic"
)]

/// Each contract twice, by the names of its functions.
macro_rules! contracts {
    ($($name:ident),+ $(,)?) => {
        mod bundled {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::server::Server::bundled().await).await;
            })+
        }
        mod real {
            $(#[tokio::test]
            async fn $name() {
                if let Some(server) = crate::server::Server::real().await {
                    super::$name(server).await;
                }
            })+
        }
    };
}

#[path = "contract_vault/another_ca.rs"]
mod another_ca;
#[path = "contract_vault/approle.rs"]
mod approle;
#[path = "contract_vault/client.rs"]
mod client;
#[path = "contract_vault/cluster.rs"]
mod cluster;
#[path = "contract_vault/crl.rs"]
mod crl;
#[path = "contract_vault/denied.rs"]
mod denied;
#[path = "contract_vault/gone.rs"]
mod gone;
#[path = "contract_vault/intermediate.rs"]
mod intermediate;
#[path = "contract_vault/issuer.rs"]
mod issuer;
#[path = "contract_vault/kv.rs"]
mod kv;
#[path = "contract_vault/limits.rs"]
mod limits;
#[path = "contract_vault/mounts.rs"]
mod mounts;
#[path = "contract_vault/outside.rs"]
mod outside;
#[path = "support/port.rs"]
mod port;
#[path = "contract_vault/real.rs"]
mod real;
#[path = "contract_vault/revoke.rs"]
mod revoke;
#[path = "contract_vault/roles.rs"]
mod roles;
#[path = "contract_vault/seal.rs"]
mod seal;
#[path = "contract_vault/server.rs"]
mod server;
#[path = "contract_vault/sign.rs"]
mod sign;
#[path = "contract_vault/strict.rs"]
mod strict;
#[path = "contract_vault/swallowed.rs"]
mod swallowed;
#[path = "contract_vault/tokens.rs"]
mod tokens;
