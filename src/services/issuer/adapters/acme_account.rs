//! The account at an ACME CA, kept in a file that only the issuer may read: never in the database, since
//! whoever reads that must not be able to order or revoke.
//!
//! Orders belong to an account, so that all issuers of one platform need the same file.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::clients::acme::{AcmeAccount, AcmeError, Directory, ExternalAccount};
use crate::domain::secret::Secret;

/// Where the account is kept, and what makes a new one.
pub(super) struct Keeper {
    pub(super) file: PathBuf,
    pub(super) contact: Vec<String>,
    pub(super) external: Option<ExternalAccount>,
}

impl Keeper {
    /// The kept account; a new one, kept before it is used, where there is none.
    pub(super) async fn open(&self, directory: &Directory) -> Result<AcmeAccount, AcmeError> {
        if let Some(secret) = self.read()? {
            return AcmeAccount::load(directory, &secret)
                .await
                .map_err(|error| match error {
                    AcmeError::NoAccount(words) => AcmeError::NoAccount(format!(
                        "{words}; to register a new account, move `{}` away",
                        self.file.display()
                    )),
                    other => other,
                });
        }
        let (account, secret) = AcmeAccount::create(directory, &self.contact, self.external.as_ref()).await?;
        match self.write(&secret) {
            Ok(()) => {
                tracing::info!(file = %self.file.display(), "registered an account at the ACME CA");
                Ok(account)
            }
            // Another issuer was first: all have to use one account.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match self.read()? {
                Some(secret) => AcmeAccount::load(directory, &secret).await,
                None => Err(self.unusable("is gone again")),
            },
            Err(error) => Err(self.unusable(&format!("can't be written: {error}"))),
        }
    }

    fn read(&self) -> Result<Option<Secret>, AcmeError> {
        let mode = match fs::metadata(&self.file) {
            Ok(metadata) => metadata.permissions().mode() & 0o777,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.unusable(&format!("can't be read: {error}"))),
        };
        if mode & 0o007 != 0 {
            return Err(self.unusable(&format!("is open to everybody (mode {mode:o}); make it 0600")));
        }
        let text = fs::read_to_string(&self.file)
            .map_err(|error| self.unusable(&format!("can't be read: {error}")))?;
        Ok(Some(Secret::new(text)))
    }

    /// Whole or not at all, mode 0600, and never over another one.
    fn write(&self, secret: &Secret) -> io::Result<()> {
        let dir = self.file.parent().unwrap_or(Path::new("."));
        let mut staged = tempfile::NamedTempFile::new_in(dir)?;
        staged.write_all(secret.expose().as_bytes())?;
        staged.as_file().sync_all()?;
        staged
            .persist_noclobber(&self.file)
            .map_err(|error| error.error)?;
        fs::File::open(dir)?.sync_all()
    }

    fn unusable(&self, why: &str) -> AcmeError {
        AcmeError::Setup(format!("the ACME account's file `{}` {why}", self.file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_kept_privately_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let keeper = Keeper {
            file: dir.path().join("account.json"),
            contact: Vec::new(),
            external: None,
        };
        assert!(keeper.read().unwrap().is_none());
        keeper.write(&Secret::new("one".to_owned())).unwrap();
        let mode = fs::metadata(&keeper.file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = keeper.write(&Secret::new("two".to_owned())).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(keeper.read().unwrap().unwrap().expose(), "one");
        fs::set_permissions(&keeper.file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(keeper.read().unwrap_err().to_string().contains("0600"));
    }
}
