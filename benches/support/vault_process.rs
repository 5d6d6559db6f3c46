//! The bundled Vault with a CA in it, in a process of its own: this program plays that part when it is started with the
//! argument `vault`.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Child;

use serde_json::{Value, json};

use crate::vault::Ca;

pub(crate) struct Vault {
    child: Child,
    pub(crate) address: String,
    /// The root token.
    pub(crate) token: String,
}

/// The bundled Vault, until its standard input ends.
pub(crate) fn play() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let ca = Ca::start().await;
        println!("{}", json!({"address": ca.address, "token": ca.root_token}));
        std::io::stdout().flush().unwrap();
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        ended.await.unwrap().unwrap();
    });
}

impl Vault {
    /// The process that was started to be it.
    pub(crate) fn of(mut child: Child) -> Self {
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let says: Value = serde_json::from_str(&line).unwrap();
        let text = |name: &str| says[name].as_str().unwrap().to_owned();
        Self {
            address: text("address"),
            token: text("token"),
            child,
        }
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
