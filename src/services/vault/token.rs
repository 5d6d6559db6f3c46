//! Tokens with a lifetime: made, looked up, renewed, ended. Only a token's hash is stored.

use std::io;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::capability::Capability;
use super::lifetime::LONGEST;
use super::reply::random;
use super::{Core, Reply, Request, storage};
use crate::domain::duration::duration;

const FOLDER: &str = "core/tokens";
/// One token.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Token {
    /// Names the token without being it.
    pub(super) accessor: String,
    /// What it may do.
    pub(super) policies: Vec<String>,
    display_name: String,
    created_at: DateTime<Utc>,
    /// Seconds that a renewal gives; 0 for ever.
    ttl: i64,
    expires_at: Option<DateTime<Utc>>,
    renewable: bool,
    /// Which entry it is stored as.
    hash: String,
    /// When it ends, whatever is renewed.
    #[serde(default)]
    ends_at: Option<DateTime<Utc>>,
    /// Seconds that each renewal gives for ever; 0 for a token that isn't periodic.
    #[serde(default)]
    period: i64,
    /// When it ends for good if nothing else is said, whatever is renewed: it is not periodic.
    #[serde(default)]
    longest_at: Option<DateTime<Utc>>,
    /// What the token that made it is stored as: it goes with that one.
    #[serde(default)]
    parent: Option<String>,
    /// Calls left; 0 for any number, less while the last one is under way.
    #[serde(default)]
    uses: i64,
    /// The token itself, as its bearer showed it; never stored.
    #[serde(skip)]
    text: String,
}

impl Token {
    pub(super) fn is_root(&self) -> bool {
        self.policies.iter().any(|policy| policy == "root")
    }

    fn view(&self, now: DateTime<Utc>) -> Value {
        let mut view = json!({
            "accessor": self.accessor,
            "creation_time": self.created_at.timestamp(),
            "creation_ttl": self.ttl,
            "display_name": self.display_name,
            "entity_id": "",
            "expire_time": self.expires_at.map(|at| at.to_rfc3339()),
            "explicit_max_ttl": self.ends_at.map_or(0, |at| (at - self.created_at).num_seconds()),
            "id": self.text,
            "meta": null,
            "num_uses": self.uses,
            "orphan": self.parent.is_none(),
            "path": "auth/token/create",
            "policies": self.policies,
            "ttl": self.left(now),
            "type": "service",
        });
        if self.expires_at.is_some() {
            view["renewable"] = json!(self.renewable);
        }
        if self.period > 0 {
            view["period"] = json!(self.period);
        }
        view
    }

    /// When it ends if it begins or is renewed at `now`, for as long as is wished.
    fn end_from(&self, now: DateTime<Utc>, wished: Option<i64>) -> Option<DateTime<Utc>> {
        let lasting = match (self.period, wished) {
            (0, wished) => wished.filter(|seconds| *seconds > 0).unwrap_or(self.ttl),
            (period, _) => period,
        };
        let end = (lasting > 0).then(|| now + Duration::seconds(lasting));
        let last = [self.ends_at, self.longest_at].into_iter().flatten().min();
        match (end, last) {
            (Some(end), Some(last)) => Some(end.min(last)),
            (end, last) => end.or(last),
        }
    }

    /// The seconds that it has left.
    fn left(&self, now: DateTime<Utc>) -> i64 {
        self.expires_at.map_or(0, |at| (at - now).num_seconds().max(0))
    }
}

/// What a secret is stored as.
pub(super) fn hash(token: &str) -> String {
    hex::encode(digest::digest(&digest::SHA256, token.as_bytes()))
}

/// The token, if there is one and it still lives, and its parents do.
pub(super) fn find(core: &Core, token: &str) -> Option<Token> {
    let mut found = read(core, &hash(token))?;
    token.clone_into(&mut found.text);
    let mut parent = found.parent.clone();
    while let Some(hash) = parent {
        parent = read(core, &hash)?.parent;
    }
    Some(found)
}

/// The token that is stored under `hash`, if it has not ended.
fn read(core: &Core, hash: &str) -> Option<Token> {
    let found: Token = core.barrier.read(&format!("{FOLDER}/{hash}")).ok()??;
    let lives = found.uses >= 0 && found.expires_at.is_none_or(|at| at > core.clock.now());
    lives.then_some(found)
}

/// The token that an accessor names, without what it is shown with.
fn named_by(core: &Core, accessor: &str) -> Option<Token> {
    let hashes = core.barrier.list(FOLDER);
    let mut tokens = hashes.iter().filter_map(|hash| read(core, hash));
    tokens.find(|token| token.accessor == accessor)
}

/// Counts a call, before it is carried out; whether it is the token's last.
pub(super) fn count_use(core: &Core, token: &mut Token) -> io::Result<bool> {
    if token.uses == 0 {
        return Ok(false);
    }
    token.uses = if token.uses == 1 { -1 } else { token.uses - 1 };
    core.barrier.write(&format!("{FOLDER}/{}", token.hash), token)?;
    Ok(token.uses < 0)
}

/// Makes the root token of a new server.
pub(super) fn create_root(core: &mut Core) -> io::Result<String> {
    let wish = Wish {
        policies: vec!["root".to_owned()],
        name: "root".to_owned(),
        ttl: 0,
        end: 0,
        longest: 0,
        period: 0,
        renewable: false,
        parent: None,
        uses: 0,
    };
    create(core, wish).map(|token| token.text)
}

/// A token to be made; times in seconds, 0 for none.
pub(super) struct Wish {
    policies: Vec<String>,
    name: String,
    ttl: i64,
    /// Its explicit end.
    end: i64,
    /// Its end otherwise.
    longest: i64,
    period: i64,
    renewable: bool,
    parent: Option<String>,
    /// Calls that may be made with it; 0 for any number.
    uses: i64,
}

/// What a role says of the tokens of who logs in with it; times in seconds, 0 for none.
pub(super) struct Terms<'a> {
    pub(super) policies: &'a [String],
    pub(super) with_default: bool,
    pub(super) ttl: i64,
    pub(super) max_ttl: i64,
    pub(super) explicit_max_ttl: i64,
    pub(super) period: i64,
    pub(super) uses: i64,
}

impl Wish {
    /// For who logged in with a role.
    pub(super) fn of_role(terms: &Terms<'_>) -> Self {
        let mut policies = terms.policies.to_vec();
        policies.extend(terms.with_default.then(|| "default".to_owned()));
        policies.sort();
        policies.dedup();
        let (ttl, period) = (terms.ttl, terms.period);
        let longest = match (period, terms.max_ttl) {
            (0, 0) => LONGEST,
            (0, most) => most.min(LONGEST),
            _ => 0,
        };
        Self {
            policies,
            name: "approle".to_owned(),
            ttl: if ttl > 0 { ttl } else { LONGEST },
            end: terms.explicit_max_ttl,
            longest,
            period,
            renewable: true,
            parent: None,
            uses: terms.uses,
        }
    }
}

/// Makes a token.
pub(super) fn create(core: &mut Core, wish: Wish) -> io::Result<Token> {
    let text = format!("hvs.{}", URL_SAFE_NO_PAD.encode(random::<24>()));
    let now = core.clock.now();
    let mut token = Token {
        accessor: URL_SAFE_NO_PAD.encode(random::<18>()),
        policies: wish.policies,
        display_name: wish.name,
        created_at: now,
        ttl: if wish.period > 0 { wish.period } else { wish.ttl },
        expires_at: None,
        renewable: wish.renewable,
        hash: hash(&text),
        ends_at: (wish.end > 0).then(|| now + Duration::seconds(wish.end)),
        longest_at: (wish.longest > 0).then(|| now + Duration::seconds(wish.longest)),
        period: wish.period,
        parent: wish.parent,
        uses: wish.uses,
        text,
    };
    token.expires_at = token.end_from(now, None);
    if wish.period == 0 && token.ttl > 0 {
        token.ttl = token.left(now);
    }
    core.barrier.write(&format!("{FOLDER}/{}", token.hash), &token)?;
    Ok(token)
}

/// What a body asks for, within what `caller` may give.
fn wish(body: &Value, caller: &Token, orphan: bool) -> Result<Wish, Reply> {
    let mut policies: Vec<String> = match &body["policies"] {
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    if policies.is_empty() {
        policies.clone_from(&caller.policies);
    }
    // A token's child may do no more than the token itself; everybody has `default`.
    let more = |policy: &String| policy != "default" && !caller.policies.contains(policy);
    if !caller.is_root() && policies.iter().any(more) {
        return Err(Reply::error(400, "child policies must be subset of parent"));
    }
    let is_root = policies.iter().any(|policy| policy == "root");
    if !is_root && body["no_default_policy"].as_bool() != Some(true) {
        policies.push("default".to_owned());
    }
    policies.sort();
    policies.dedup();
    let seconds = |field: &str| match &body[field] {
        Value::Null => Ok(0),
        Value::String(text) if text.is_empty() => Ok(0),
        given => duration(given).ok_or_else(|| {
            Reply::error(
                400,
                &format!("error converting input for field {field:?}: invalid duration {given}"),
            )
        }),
    };
    let period = seconds("period")?;
    if period > 0 && !caller.is_root() {
        return Err(Reply::error(
            400,
            "root or sudo privileges required to create periodic token",
        ));
    }
    // Else its uses could be multiplied.
    if caller.uses != 0 {
        return Err(Reply::error(
            400,
            "restricted use token cannot generate child tokens",
        ));
    }
    let uses = body["num_uses"].as_i64().unwrap_or_default();
    if uses < 0 {
        return Err(Reply::error(400, "number of uses cannot be negative"));
    }
    let ttl = match seconds("ttl")? {
        0 if is_root => 0,
        0 => LONGEST,
        ttl => ttl,
    };
    let lasts = ttl > 0 || period > 0;
    // A root token's child that has no end of its own has none.
    let longest = if ttl > 0 && period == 0 { LONGEST } else { 0 };
    let is_orphan = orphan || body["no_parent"].as_bool() == Some(true) && caller.is_root();
    Ok(Wish {
        policies,
        name: body["display_name"]
            .as_str()
            .map_or("token".to_owned(), |name| format!("token-{name}")),
        ttl,
        end: seconds("explicit_max_ttl")?,
        longest,
        period,
        renewable: body["renewable"].as_bool().unwrap_or(true) && lasts,
        parent: (!is_orphan).then(|| caller.hash.clone()),
        uses,
    })
}

/// What who got or renewed a token is told.
pub(super) fn auth(token: &Token) -> Value {
    json!({
        "client_token": token.text,
        "accessor": token.accessor,
        "policies": token.policies,
        "token_policies": token.policies,
        "metadata": null,
        "lease_duration": token.ttl,
        "renewable": token.renewable,
        "entity_id": "",
        "token_type": "service",
        "orphan": token.parent.is_none(),
        "mfa_requirement": null,
        "num_uses": token.uses,
    })
}

/// `auth/token/…`.
pub(super) fn route(core: &mut Core, request: &Request<'_>, rest: &str, caller: &Token) -> Option<Reply> {
    let now = core.clock.now();
    let named = request.body["token"].as_str();
    Some(match (request.operation, rest) {
        (Capability::Update, "create" | "create-orphan") => {
            let made = wish(request.body, caller, rest == "create-orphan").map(|wish| create(core, wish));
            match made {
                Ok(Ok(token)) => Reply::enveloped(&Value::Null, &Value::Null, &auth(&token)),
                Ok(Err(error)) => storage(&error),
                Err(refusal) => refusal,
            }
        }
        (_, "lookup-self") => Reply::data(caller.view(now)),
        (Capability::Update | Capability::Read, "lookup") => {
            match named.and_then(|token| find(core, token)) {
                Some(token) => Reply::data(token.view(now)),
                None => Reply::error(403, "bad token"),
            }
        }
        (Capability::Update, "renew-self") => renew(core, caller.clone(), &request.body["increment"], now),
        (Capability::Update, "revoke-self") => ended(core, caller),
        (Capability::Update, "revoke") => match named.and_then(|token| find(core, token)) {
            Some(token) => ended(core, &token),
            None => Reply::empty(),
        },
        // Who may not know a token may end it all the same.
        (Capability::Update, "lookup-accessor" | "revoke-accessor") => {
            let accessor = request.body["accessor"].as_str().unwrap_or_default();
            match (named_by(core, accessor), rest) {
                (Some(token), "lookup-accessor") => Reply::data(token.view(now)),
                (Some(token), _) => ended(core, &token),
                (None, "lookup-accessor") => Reply::error(400, "1 error occurred:\n\t* invalid accessor\n\n"),
                (None, _) => {
                    let words = json!(["No token found with this accessor"]);
                    Reply::enveloped(&Value::Null, &words, &Value::Null)
                }
            }
        }
        _ => return None,
    })
}

fn renew(core: &mut Core, mut token: Token, increment: &Value, now: DateTime<Utc>) -> Reply {
    let wished = match increment {
        Value::Null => None,
        given => match duration(given) {
            Some(seconds) => Some(seconds),
            None => {
                let words = format!(
                    "Field validation failed: error converting input for field \"increment\": time: invalid duration {given}"
                );
                return Reply::error(400, &words);
            }
        },
    };
    if token.expires_at.is_none() {
        return Reply::error(400, "invalid lease ID");
    }
    if !token.renewable {
        return Reply::error(400, "lease is not renewable");
    }
    token.expires_at = token.end_from(now, wished);
    match core.barrier.write(&format!("{FOLDER}/{}", token.hash), &token) {
        Ok(()) => {
            let mut auth = auth(&token);
            auth["lease_duration"] = json!(token.left(now));
            Reply::enveloped(&Value::Null, &Value::Null, &auth)
        }
        Err(error) => storage(&error),
    }
}

/// Ends a token, and with it what it made.
pub(super) fn end(core: &Core, token: &Token) -> io::Result<()> {
    core.barrier.remove(&format!("{FOLDER}/{}", token.hash))
}

fn ended(core: &Core, token: &Token) -> Reply {
    end(core, token).map_or_else(|error| storage(&error), |()| Reply::empty())
}
