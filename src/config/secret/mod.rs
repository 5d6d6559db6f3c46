//! Where a secret comes from: the environment, a file, a command, systemd's credentials, or the
//! configuration file itself where nobody else may read it. Nothing is fetched before it is asked for.

mod command;
mod error;
mod file;

use std::fmt;
use std::path::PathBuf;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use self::command::{COMMAND_LIMIT, of_command};
use self::file::{of_credential, of_file, of_plain_file};
use crate::domain::secret::Secret;

pub use error::SecretError;
pub(super) use file::is_open;

/// `{ env = … }`, `{ file = … }`, `{ command = [ … ] }`, `{ credential = … }`, or the secret itself.
#[derive(Clone, Debug)]
pub struct SecretSource {
    from: From,
    /// The byte of the configuration file that it stands at.
    at: usize,
}

impl PartialEq for SecretSource {
    fn eq(&self, other: &Self) -> bool {
        self.from == other.from
    }
}

impl Eq for SecretSource {}

#[derive(Clone, Debug, PartialEq, Eq)]
enum From {
    Here(Secret),
    Elsewhere(Elsewhere),
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Elsewhere {
    Env(String),
    File(PathBuf),
    Command(Vec<String>),
    Credential(String),
}

impl SecretSource {
    /// The environment variable `name`.
    #[must_use]
    pub fn env(name: &str) -> Self {
        Self {
            from: From::Elsewhere(Elsewhere::Env(name.to_owned())),
            at: 0,
        }
    }

    /// The file at `path`.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            from: From::Elsewhere(Elsewhere::File(path.into())),
            at: 0,
        }
    }

    /// Place in the configuration file of a secret that is written there itself.
    pub(super) fn written_at(&self) -> Option<usize> {
        matches!(self.from, From::Here(_)).then_some(self.at)
    }

    /// Gets it.
    ///
    /// # Errors
    /// There is none; the error has nothing of the secret in it.
    pub async fn read(&self) -> Result<Secret, SecretError> {
        let secret = match &self.from {
            From::Here(secret) => Ok(bare(secret.expose())),
            From::Elsewhere(Elsewhere::Env(name)) => of_env(name),
            From::Elsewhere(Elsewhere::File(path)) => of_file(path),
            From::Elsewhere(Elsewhere::Command(words)) => of_command(words, COMMAND_LIMIT).await,
            From::Elsewhere(Elsewhere::Credential(name)) => of_credential(name),
        }?;
        self.not_empty(secret)
    }

    /// Gets it for a header: a token, or what one logs in with.
    ///
    /// # Errors
    /// See [`Self::read`]; that it is no token.
    pub async fn read_token(&self) -> Result<Secret, SecretError> {
        self.token(self.read().await?)
    }

    /// The token; nothing where there is no such variable, file or credential.
    ///
    /// # Errors
    /// It is there, but can't be got or used.
    pub async fn read_token_if_there(&self) -> Result<Option<Secret>, SecretError> {
        let secret = self.read_if_there().await?;
        secret.map(|secret| self.token(secret)).transpose()
    }

    /// A token is one word of ASCII: anything else is no header, and was copied along with it.
    fn token(&self, secret: Secret) -> Result<Secret, SecretError> {
        let why = match secret.expose() {
            text if text.contains(char::is_whitespace) => "it has spaces or line ends in it",
            text if text.chars().any(char::is_control) => "it has control characters in it",
            text if !text.is_ascii() => "it has letters in it that are not ASCII",
            _ => return Ok(secret),
        };
        Err(SecretError::NoToken {
            from: self.to_string(),
            why,
        })
    }

    /// Gets it without anybody noticing: no command is run, and nothing is waited for.
    ///
    /// # Errors
    /// See [`Self::read`]; that it comes from a command.
    pub fn read_token_quietly(&self) -> Result<Secret, SecretError> {
        self.token(self.read_quietly()?)
    }

    /// Any secret, with no word to the log.
    fn read_quietly(&self) -> Result<Secret, SecretError> {
        let secret = match &self.from {
            From::Here(secret) => Ok(bare(secret.expose())),
            From::Elsewhere(Elsewhere::Env(name)) => of_env(name),
            From::Elsewhere(Elsewhere::File(path)) => of_plain_file(path),
            From::Elsewhere(Elsewhere::Command(words)) => Err(SecretError::NotRun {
                program: words.first().cloned().unwrap_or_default(),
            }),
            From::Elsewhere(Elsewhere::Credential(name)) => of_credential(name),
        }?;
        self.not_empty(secret)
    }

    fn not_empty(&self, secret: Secret) -> Result<Secret, SecretError> {
        match secret.is_empty() {
            true => Err(SecretError::Empty(self.to_string())),
            false => Ok(secret),
        }
    }

    /// Gets it; nothing where there is no such variable, file or credential.
    ///
    /// # Errors
    /// It is there, but can't be got.
    pub async fn read_if_there(&self) -> Result<Option<Secret>, SecretError> {
        match self.read().await {
            Ok(secret) => Ok(Some(secret)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Source of the secret, for people; never the secret. Of a command only the program is told: its
/// arguments may say more than everybody should know.
impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.from {
            From::Here(_) => f.write_str("the configuration file"),
            From::Elsewhere(Elsewhere::Env(name)) => write!(f, "the environment variable `{name}`"),
            From::Elsewhere(Elsewhere::File(path)) => write!(f, "the file `{}`", path.display()),
            From::Elsewhere(Elsewhere::Command(words)) => {
                write!(f, "the command `{}`", words.first().map_or("", String::as_str))
            }
            From::Elsewhere(Elsewhere::Credential(name)) => write!(f, "the credential `{name}`"),
        }
    }
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = toml::Spanned::<From>::deserialize(deserializer)?;
        Ok(Self {
            at: spanned.span().start,
            from: spanned.into_inner(),
        })
    }
}

impl<'de> Deserialize<'de> for From {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = From;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "where the secret comes from: { env = \"NAME\" }, { file = \"/path\" }, \
                     { command = [\"program\", \"argument\"] } or { credential = \"name\" }",
                )
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<From, E> {
                Ok(From::Here(Secret::new(text.to_owned())))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<From, A::Error> {
                let elsewhere = Elsewhere::deserialize(MapAccessDeserializer::new(map))?;
                let usable = match &elsewhere {
                    Elsewhere::Env(name) => !name.is_empty() && !name.contains('='),
                    Elsewhere::File(path) => path.is_absolute(),
                    Elsewhere::Command(words) => words.first().is_some_and(|program| !program.is_empty()),
                    Elsewhere::Credential(name) => is_plain_name(name),
                };
                if !usable {
                    return Err(serde::de::Error::custom(
                        "a secret's `env` needs a variable's name, its `file` an absolute path, its `command` a \
                         program with its arguments, its `credential` a name without a slash",
                    ));
                }
                Ok(From::Elsewhere(elsewhere))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && name != "." && name != ".."
}

fn of_env(name: &str) -> Result<Secret, SecretError> {
    match std::env::var(name) {
        Ok(value) => Ok(bare(&Zeroizing::new(value))),
        Err(std::env::VarError::NotPresent) => Err(SecretError::NotSet(name.to_owned())),
        Err(std::env::VarError::NotUnicode(_)) => Err(SecretError::NoText(name.to_owned())),
    }
}

/// The secret in a text, wherever that comes from: without the line end that `echo` and editors put behind it,
/// and without the byte order mark that some put in front.
fn bare(text: &str) -> Secret {
    Secret::new(text.trim_start_matches('\u{feff}').trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct File {
        token: SecretSource,
    }

    fn source(toml: &str) -> SecretSource {
        toml::from_str::<File>(&format!("token = {toml}")).unwrap().token
    }

    #[tokio::test]
    async fn it_comes_from_the_environment() {
        assert_eq!(
            source("{ env = \"PATH\" }").read().await.unwrap().expose(),
            std::env::var("PATH").unwrap()
        );
        let absent = source("{ env = \"CMP_NOBODY_SETS_THIS\" }");
        let error = absent.read().await.unwrap_err();
        assert!(
            error.to_string().contains("`CMP_NOBODY_SETS_THIS` is not set"),
            "{error}"
        );
        assert_eq!(absent.read_if_there().await, Ok(None));
    }

    #[tokio::test]
    async fn a_secret_is_read_alike_from_everywhere_and_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let from_file = SecretSource::file(&path);
        for (text, token) in [
            ("hunter2", Some("hunter2")),
            ("hunter2\r\n", Some("hunter2")),
            ("\u{feff}hunter2\n\n", Some("hunter2")),
            (" \thunter2 ", Some("hunter2")),
            ("hun\nter2", None),
            ("hun ter2", None),
            ("hun\u{7}ter2", None),
            ("hünter2", None),
        ] {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            let here = source(&toml::Value::String(text.to_owned()).to_string());
            let command = source(&format!(
                "{{ command = [\"cat\", {:?}] }}",
                path.display().to_string()
            ));
            for from in [&from_file, &here, &command] {
                match (from.read_token().await, token) {
                    (Ok(secret), Some(token)) => assert_eq!(secret.expose(), token),
                    (Err(error), None) => {
                        let said = error.to_string();
                        assert!(
                            said.contains("can't be a token") && said.contains(&from.to_string()),
                            "{said}"
                        );
                        assert!(!said.contains("ter2"), "{said}");
                    }
                    (other, _) => panic!("{text:?} from {from}: {other:?}"),
                }
            }
        }
        assert_eq!(
            bare("\u{feff} hunter2\n").expose(),
            "hunter2",
            "the environment's"
        );
    }

    #[tokio::test]
    async fn a_file_that_everybody_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let source = source(&format!("{{ file = {:?} }}", path.display().to_string()));
        assert!(matches!(source.read().await, Err(SecretError::NoFile(_))));
        std::fs::write(&path, "hunter2\n").unwrap();
        for (mode, fine) in [
            (0o600, true),
            (0o640, true),
            (0o400, true),
            (0o644, false),
            (0o602, false),
        ] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            match source.read().await {
                Ok(secret) => assert!(fine && secret.expose() == "hunter2", "{mode:o}"),
                Err(error) => {
                    let said = error.to_string();
                    assert!(
                        !fine && said.contains("chmod 600") && !said.contains("hunter2"),
                        "{said}"
                    );
                }
            }
        }
    }

    #[tokio::test]
    async fn a_command_gives_its_stdout_and_only_its_stderr_is_told() {
        let fine = source("{ command = [\"printf\", ' hunter2\\n'] }");
        assert_eq!(fine.read().await.unwrap().expose(), "hunter2");
        let bad =
            source("{ command = [\"sh\", \"-c\", \"echo hunter2; echo the vault is locked >&2; exit 7\"] }");
        let error = bad.read().await.unwrap_err().to_string();
        assert_eq!(
            error,
            "the command `sh` ended with exit code 7 and said: the vault is locked"
        );
        let none = source("{ command = [\"no-such-program\"] }");
        let error = none.read().await.unwrap_err().to_string();
        assert!(
            error.starts_with("the command `no-such-program` can't be started"),
            "{error}"
        );
        let empty = source("{ command = [\"true\"] }");
        assert!(matches!(empty.read().await, Err(SecretError::Empty(_))));
    }

    #[test]
    fn quietly_no_command_is_run_and_no_pipe_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let ran = dir.path().join("ran");
        let command = source(&format!(
            "{{ command = [\"touch\", {:?}] }}",
            ran.display().to_string()
        ));
        let error = command.read_quietly().unwrap_err().to_string();
        assert_eq!(
            error,
            "the command `touch` is run only for the context that is opened"
        );
        assert!(!ran.exists());
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let error = SecretSource::file(&pipe).read_quietly().unwrap_err().to_string();
        assert!(error.contains("no plain file"), "{error}");
        let file = dir.path().join("token");
        std::fs::write(&file, "hunter2\n").unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(
            SecretSource::file(&file).read_quietly().unwrap().expose(),
            "hunter2"
        );
        assert_eq!(source("\"hunter2\"").read_quietly().unwrap().expose(), "hunter2");
    }

    #[test]
    fn what_is_no_source_is_refused_with_what_would_be_one() {
        for (toml, said) in [
            ("7", "{ env = \"NAME\" }"),
            ("{ evn = \"X\" }", "`env`, `file`, `command`"),
            ("{ file = \"token\" }", "absolute path"),
            ("{ command = [] }", "program"),
            ("{ credential = \"../x\" }", "without a slash"),
        ] {
            let error = toml::from_str::<File>(&format!("token = {toml}")).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
        assert!(!format!("{:?}", source("\"hunter2\"")).contains("hunter2"));
        assert_eq!(
            source("{ command = [\"pass\", \"cmp\"] }").to_string(),
            "the command `pass`"
        );
    }
}
