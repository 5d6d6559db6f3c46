//! Vault or OpenBao, through `vaultrs`.
use crate::domain::secret::Secret;
use crate::problem::Problem;
#[derive(Clone, Debug)]
pub struct SealStatus {
    pub sealed: bool,
    pub initialized: bool,
    pub t: u64,
    pub n: u64,
    pub progress: u64,
    pub nonce: String,
    pub version: String,
}
#[derive(Clone)]
pub struct VaultReader;
impl VaultReader {
    pub fn new(_a: &str, _t: Option<Secret>) -> Result<Self, Problem> {
        Ok(Self)
    }
}
impl VaultReader {
    pub async fn seal_status(&self) -> Result<SealStatus, Problem> {
        Err(Problem::internal("stub"))
    }
    pub async fn mounts(&self) -> Result<Vec<String>, Problem> {
        Err(Problem::internal("stub"))
    }
}
pub struct VaultWriter;
impl VaultWriter {
    pub fn new(_a: &str, _t: Option<Secret>) -> Result<Self, Problem> {
        Ok(Self)
    }
}
pub struct Signed {
    pub certificate_pem: String,
}
impl VaultWriter {
    pub async fn unseal(&self, _share: &Secret) -> Result<SealStatus, Problem> {
        Err(Problem::internal("stub"))
    }
    pub async fn reset_unseal(&self) -> Result<SealStatus, Problem> {
        Err(Problem::internal("stub"))
    }
    pub async fn sign(
        &self,
        _mount: &str,
        _role: &str,
        _csr: &str,
        _cn: &str,
        _sans: &[String],
        _ttl: Option<&str>,
    ) -> Result<Signed, Problem> {
        Err(Problem::internal("stub"))
    }
}
