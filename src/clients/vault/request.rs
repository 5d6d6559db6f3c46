//! One HTTP call to a Vault that `vaultrs` doesn't have, and its answer. As whom it is made is the caller's.

use reqwest::Method;
use serde::de::DeserializeOwned;

use super::error::VaultError;
use super::place::{Place, TIME_LIMIT, is_of_node};
use crate::clients::body::{self, BodyError, Limit};
use crate::clients::exchange::Http;

/// A CRL with a million revocations, or as many serials, are some 60 MiB.
const ANSWER: Limit = Limit {
    bytes: 64 << 20,
    time: TIME_LIMIT,
};

/// A call that `vaultrs` doesn't have.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) http: &'a Http,
    pub(super) place: &'a Place,
    pub(super) path: &'a str,
}

impl Request<'_> {
    pub(super) fn url(&self) -> String {
        format!("{}/v1/{}", self.place.address.trim_end_matches('/'), self.path)
    }

    /// The namespace, but for what there is only one of in the whole node.
    fn namespace(&self) -> Option<&str> {
        let namespace = self.place.namespace.as_deref();
        namespace.filter(|_| !is_of_node(self.path))
    }

    pub(super) async fn answer(&self, token: Option<&str>) -> Result<(u16, Vec<u8>), VaultError> {
        self.send(self.http.call(Method::GET, self.url()), token).await
    }

    /// A call that changes something, or one that its method says to be a question.
    pub(super) async fn send(
        &self,
        request: reqwest::RequestBuilder,
        token: Option<&str>,
    ) -> Result<(u16, Vec<u8>), VaultError> {
        let reply = self.http.send(self.dressed(request, token)).await;
        read(reply.map_err(|error| VaultError::from_reqwest(&error))?).await
    }

    /// A question, whatever its method.
    pub(super) async fn question(
        &self,
        request: reqwest::RequestBuilder,
        token: Option<&str>,
    ) -> Result<(u16, Vec<u8>), VaultError> {
        let reply = self.http.question(self.dressed(request, token)).await;
        read(reply.map_err(|error| VaultError::from_reqwest(&error))?).await
    }

    fn dressed(&self, request: reqwest::RequestBuilder, token: Option<&str>) -> reqwest::RequestBuilder {
        let mut request = request.header("x-vault-request", "true");
        if let Some(namespace) = self.namespace() {
            request = request.header("x-vault-namespace", namespace);
        }
        if let Some(token) = token {
            request = request.header("x-vault-token", token);
        }
        request
    }

    /// The `data` of the answer.
    pub(super) async fn data<T: DeserializeOwned>(&self, token: &str) -> Result<T, VaultError> {
        #[derive(serde::Deserialize)]
        struct Enveloped<T> {
            data: T,
        }
        let (code, body) = self.answer(Some(token)).await?;
        if !(200..300).contains(&code) {
            return Err(refusal(code, &body));
        }
        parse(self.path, &body).map(|enveloped: Enveloped<T>| enveloped.data)
    }
}

/// From JSON; the body is never quoted, because it may hold a secret.
pub(super) fn parse<T: DeserializeOwned>(path: &str, body: &[u8]) -> Result<T, VaultError> {
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        VaultError::Garbled(format!(
            "`{path}` is not as documented (line {line}, column {column})"
        ))
    })
}

/// What a status other than success means, with Vault's own words. Without them it isn't Vault's answer, and means
/// nothing.
pub(super) fn refusal(code: u16, body: &[u8]) -> VaultError {
    #[derive(serde::Deserialize)]
    struct Body {
        errors: Vec<String>,
    }
    match serde_json::from_slice::<Body>(body) {
        Ok(body) => VaultError::from_status(code, &body.errors),
        Err(_) => VaultError::foreign(code),
    }
}

/// Status and body.
pub(super) async fn read(reply: reqwest::Response) -> Result<(u16, Vec<u8>), VaultError> {
    let code = reply.status().as_u16();
    if reply.status().is_redirection() {
        let to = reply.headers().get("location").and_then(|to| to.to_str().ok());
        let to = to.and_then(|to| reply.url().join(to).ok());
        return Err(VaultError::elsewhere(reply.url(), to.as_ref()));
    }
    let body = body::whole(reply, ANSWER).await.map_err(|error| match error {
        BodyError::Broken(error) => VaultError::from_reqwest(&error),
        BodyError::TooSlow(_) => VaultError::late(),
        BodyError::TooLarge(_) => VaultError::Garbled(error.to_string()),
    })?;
    Ok((code, body))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, channel};

    use super::super::{Login, Place, VaultError, VaultReader, VaultWriter};
    use crate::domain::secret::Secret;

    /// Answers each request with this, and tells the heads and bodies that came.
    fn server(status: &'static str, headers: String, body: &'static str) -> (String, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(&stream);
                let mut seen = String::new();
                while reader.read_line(&mut seen).is_ok_and(|n| n > 2) {}
                let length = seen.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    let is_length = name.eq_ignore_ascii_case("content-length");
                    is_length.then(|| value.trim().parse::<u64>().unwrap())
                });
                let _ = reader.take(length.unwrap_or(0)).read_to_string(&mut seen);
                let _gone = tell.send(seen);
                let n = body.len();
                let head =
                    format!("HTTP/1.1 {status}\r\ncontent-length: {n}\r\nconnection: close\r\n{headers}");
                let _gone = (&stream).write_all(format!("{head}\r\n{body}").as_bytes());
            }
        });
        (address, told)
    }

    fn redirects(status: &'static str, to: &str) -> (String, Receiver<String>) {
        server(status, format!("location: {to}\r\n"), "")
    }

    fn of(address: &str, cluster: &[&str]) -> VaultWriter {
        let place = Place {
            cluster: cluster.iter().map(|node| (*node).to_owned()).collect(),
            ..Place::at(address)
        };
        let token = Login::Token(Secret::new("hvs.of-the-test".to_owned()));
        VaultWriter::new(&place, token).unwrap()
    }

    const ROLE: &str = r#"{"request_id":"r","data":{"no_store":true}}"#;

    #[tokio::test]
    async fn no_token_goes_to_somebody_whom_the_configuration_does_not_name() {
        for status in [
            "307 Temporary Redirect",
            "301 Moved",
            "303 See Other",
            "308 Permanent",
        ] {
            let (other, seen) = server("200 OK", String::new(), ROLE);
            let (standby, asked) = redirects(status, &format!("{other}/v1/pki/roles/r"));
            let vault = of(&standby, &[]);
            let error = vault.reader().keeps("pki", "r").await.unwrap_err();
            let words = error.to_string();
            assert!(words.contains(&standby) && words.contains(&other), "{words}");
            let error = vault.revoke_certificate("pki", "PEM").await.unwrap_err();
            assert!(matches!(error, VaultError::Elsewhere(..)), "{error:?}");
            // A call of `vaultrs`' making, too.
            let error = vault.revoke("pki", "00:01").await.unwrap_err();
            assert!(matches!(error, VaultError::Elsewhere(..)), "{error:?}");
            assert!(asked.recv().unwrap().contains("hvs.of-the-test"));
            assert!(seen.try_recv().is_err(), "{status}: it was asked");
        }
    }

    #[tokio::test]
    async fn a_standby_leads_to_the_active_node_and_never_with_a_share() {
        let (active, seen) = server("200 OK", String::new(), ROLE);
        let (standby, _asked) = redirects("307 Temporary Redirect", &format!("{active}/v1/pki/roles/r"));
        let vault = of(&standby, &["http://127.0.0.1:1", &active]);
        assert!(!vault.reader().keeps("pki", "r").await.unwrap());
        let head = seen.recv().unwrap();
        assert!(head.contains("hvs.of-the-test"), "{head}");
        assert!(vault.revoke_certificate("pki", "PEM").await.is_ok());
        let call = seen.recv().unwrap();
        assert!(
            call.starts_with("POST ") && call.ends_with("{\"certificate\":\"PEM\"}"),
            "{call}"
        );

        // The seal is each node's own; and what changes something stays what it is.
        let share = Secret::new("a-share".to_owned());
        let error = vault.unseal(&share).await.unwrap_err();
        assert!(matches!(error, VaultError::Elsewhere(..)), "{error:?}");
        let (elsewhere, _asked) = redirects("302 Found", &format!("{active}/v1/pki/revoke"));
        let error = of(&elsewhere, &[&active])
            .revoke_certificate("pki", "PEM")
            .await
            .unwrap_err();
        assert!(matches!(error, VaultError::Elsewhere(..)), "{error:?}");
        assert!(seen.try_recv().is_err());

        // Two that take each other for the active one: once, and no more.
        let (one, asked) = redirects("307 Temporary Redirect", "/v1/pki/roles/r");
        let error = of(&one, &[]).reader().keeps("pki", "r").await.unwrap_err();
        assert!(matches!(error, VaultError::Elsewhere(..)), "{error:?}");
        assert_eq!(asked.try_iter().count(), 2);
        let reader = VaultReader::new(&Place::at(&one), Login::Nobody).unwrap();
        assert!(reader.seal_status().await.is_err());
    }
}
