//! Pools, numbered users, logins and minted credentials.

use super::scalar::{Scale, duration, duration_or, identifier_key, number};
use super::secret::{Found, Presence, Shape, find};
use super::{Context, target};
use crate::catalog::{CredentialSource, HandshakeBudget, JsonTemplate, Login, Mint, Pool, TokenRequest, User};
use crate::config::error::At;
use crate::config::lexicon::{Lexicon, Root};
use crate::config::raw;
use crate::config::words::suggest;
use crate::expression::{Scope, Template};
use crate::limits::{POOL_USERS_MAX, SECRET_BYTES_MIN};
use crate::secret::Secret;
use serde_json::Value;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How long a user rests when the file does not say.
const REST: Duration = Duration::from_secs(30 * 60);
/// When a token is renewed when the file does not say.
const RENEW_AT: f64 = 0.6;

/// Everything under `credentials`.
pub fn sources<'load>(context: &Context<'load>, top: At<'load>) -> BTreeMap<String, CredentialSource> {
    let logins = logins(context, top.key("logins"));
    let mut sources = BTreeMap::new();
    for (name, shape) in context.main.credentials.iter() {
        let at = top.key("credentials").key(name);
        identifier_key(name, "credential", at);
        let source = match (&shape.pool, &shape.mint) {
            (Some(pool), None) => {
                self::pool(context, (name, pool), &logins, at.key("pool")).map(CredentialSource::Pool)
            }
            (None, Some(mint)) => self::mint(context, mint, at.key("mint")).map(CredentialSource::Mint),
            _ => {
                at.wrong(
                    format!("the credential `{name}` is neither a pool nor minted"),
                    "write `pool: …` or `mint: …`, one of them",
                );
                None
            }
        };
        sources.extend(source.map(|source| (name.to_owned(), source)));
    }
    sources
}

fn logins<'load>(context: &Context<'load>, at: At<'load>) -> BTreeMap<String, Arc<Login>> {
    let mut logins = BTreeMap::new();
    for (name, shape) in context.main.logins.iter() {
        let at = at.key(name);
        identifier_key(name, "login", at);
        let mut fields: Vec<&str> = context
            .main
            .credentials
            .iter()
            .filter_map(|(_, source)| source.pool.as_ref())
            .filter(|pool| pool.login == name)
            .flat_map(field_names)
            .collect();
        fields.sort_unstable();
        fields.dedup();
        // A login that no pool uses yet may read anything.
        let user = if fields.is_empty() {
            Root::Context
        } else {
            Root::fields(fields)
        };
        let requests = Lexicon::new(Rc::clone(&context.functions))
            .with("user", user)
            .with("target", target::root(context));
        let renewals = requests.clone().with("refresh_token", Root::Context);
        let login = Login {
            login: token_request(context, &shape.login, &requests, at.key("login")),
            refresh: shape
                .refresh
                .as_ref()
                .map(|refresh| token_request(context, refresh, &renewals, at.key("refresh"))),
            renew_at: number(
                shape.renew_at.unwrap_or(RENEW_AT),
                "renew_at",
                (0.05, 0.95),
                at.key("renew_at"),
            ),
        };
        logins.insert(name.to_owned(), Arc::new(login));
    }
    logins
}

/// The fields that all users of a pool have.
pub fn field_names(pool: &raw::Pool) -> Vec<&str> {
    match (pool.users.first(), &pool.users_from) {
        (Some(first), _) => first.iter().map(|(name, _)| name).collect(),
        (None, Some(from)) => {
            let secrets = from.secrets.iter().map(|(name, _)| name);
            from.fields.iter().map(|(name, _)| name).chain(secrets).collect()
        }
        (None, None) => Vec::new(),
    }
}

fn token_request<'load>(
    context: &Context<'load>,
    shape: &'load raw::TokenRequest,
    holes: &Lexicon,
    at: At<'load>,
) -> TokenRequest {
    target::known_base(context, &shape.base, at.key("base"));
    let answer = Lexicon::new(Rc::clone(&context.functions)).with("answer", Root::Context);
    if !shape.path.starts_with('/') {
        at.key("path")
            .wrong(format!("the path `{}` does not begin with /", shape.path), "write /…");
    }
    TokenRequest {
        method: shape.method.unwrap_or(raw::HttpMethod::Post).as_str().to_owned(),
        base: shape.base.clone(),
        path: shape.path.clone(),
        json: holes.json(&shape.json, at.key("json")),
        access_token: answer.expression_or_placeholder(&shape.access_token, at.key("access_token")),
        refresh_token: answer.optional(shape.refresh_token.as_ref(), at.key("refresh_token")),
    }
}

fn pool<'load>(
    context: &Context<'load>,
    (name, shape): (&str, &'load raw::Pool),
    logins: &BTreeMap<String, Arc<Login>>,
    at: At<'load>,
) -> Option<Pool> {
    let users = users(context, shape, at);
    let handshakes = shape.handshakes.as_ref().map(|budget| HandshakeBudget {
        max: number(
            budget.max,
            "the number of handshakes",
            (1, 1_000_000),
            at.key("handshakes").key("max"),
        ),
        per: duration(context, &budget.per, Scale::Scaled, at.key("handshakes").key("per")),
    });
    let rest = duration_or(context, shape.rest.as_ref(), Scale::Scaled, REST, at.key("rest"));
    let Some(login) = logins.get(&shape.login) else {
        let known: Vec<&str> = logins.keys().map(String::as_str).collect();
        at.key("login").wrong(
            format!("the login `{}` is not configured", shape.login),
            suggest(&shape.login, known),
        );
        return None;
    };
    Some(Pool {
        name: name.to_owned(),
        users,
        login: Arc::clone(login),
        handshakes,
        rest,
    })
}

fn users<'load>(context: &Context<'load>, shape: &'load raw::Pool, at: At<'load>) -> Vec<User> {
    let presence = if shape.optional {
        Presence::Optional
    } else {
        Presence::Required
    };
    match (&shape.users[..], &shape.users_from) {
        ([_, ..], None) => listed_users(context, shape, presence, at.key("users")),
        ([], Some(from)) => numbered_users(context, from, presence, at.key("users_from")),
        _ => {
            at.wrong(
                "a pool has either `users` or `users_from`",
                "write `users: [ { email: {env: …}, password: {env: …} } ]`",
            );
            Vec::new()
        }
    }
}

fn listed_users<'load>(
    context: &Context<'load>,
    shape: &'load raw::Pool,
    presence: Presence,
    at: At<'load>,
) -> Vec<User> {
    let expected = field_names(shape);
    let mut users = Vec::new();
    for (place, listed) in shape.users.iter().enumerate() {
        let at = at.item(place);
        let mut names: Vec<&str> = listed.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        let mut wanted = expected.clone();
        wanted.sort_unstable();
        if names != wanted || names.is_empty() {
            at.wrong(
                "this user has other fields than the first one",
                format!("give every user the fields {}", wanted.join(", ")),
            );
        }
        let found: Vec<(String, Found)> = listed
            .iter()
            .map(|(name, source)| {
                identifier_key(name, "field", at.key(name));
                (
                    name.to_owned(),
                    find(context, source, (Shape::Line, presence), at.key(name)),
                )
            })
            .collect();
        // A user of an optional pool whose secrets are not all there is left out.
        let fields: Option<BTreeMap<String, Secret>> = found
            .into_iter()
            .map(|(name, found)| found.secret().map(|secret| (name, secret)))
            .collect();
        users.extend(fields.map(|fields| User { fields }));
    }
    users
}

fn numbered_users<'load>(
    context: &Context<'load>,
    from: &'load raw::UsersFrom,
    presence: Presence,
    at: At<'load>,
) -> Vec<User> {
    if !context.is_loopback && from.secrets.0.is_empty() {
        at.wrong(
            "numbered users without `secrets` are only for a target on this machine",
            "write what is secret as `secrets: { password: { env: NAME } }`, or list the users",
        );
        return Vec::new();
    }
    let count = number(from.count, "the number of users", (1, POOL_USERS_MAX), at.key("count"));
    let mut shared = BTreeMap::new();
    for (name, source) in from.secrets.iter() {
        let at = at.key("secrets").key(name);
        identifier_key(name, "field", at);
        if from.fields.get(name).is_some() {
            at.name().wrong(
                format!("the field `{name}` stands twice"),
                "write it under `fields` or under `secrets`",
            );
        }
        match find(context, source, (Shape::Line, presence), at).secret() {
            Some(secret) => shared.insert(name.to_owned(), secret),
            None => return Vec::new(),
        };
    }
    let lexicon = Lexicon::new(Rc::clone(&context.functions)).with("index", Root::Context);
    let mut fields = Vec::new();
    for (name, text) in from.fields.iter() {
        let at = at.key("fields").key(name);
        identifier_key(name, "field", at);
        fields.extend(lexicon.template(text, at).map(|template| (name, template, at)));
    }
    let users = (1..=count).map(|index| {
        let mut user = shared.clone();
        user.extend(fields.iter().filter_map(|(name, template, at)| {
            let secret = numbered_field(template, index, *at)?;
            Some(((*name).to_owned(), secret))
        }));
        User { fields: user }
    });
    users.collect()
}

fn numbered_field(template: &Template, index: u32, at: At) -> Option<Secret> {
    let mut scope = Scope::new();
    scope.set("index", &Value::from(index));
    match template.fill_text(&scope) {
        Ok(text) if text.len() >= SECRET_BYTES_MIN => return Some(Secret::new(text)),
        Ok(_) => at.wrong(
            format!("the field is shorter than {SECRET_BYTES_MIN} bytes"),
            "take a longer one",
        ),
        Err(error) => at.wrong(
            format!("the field cannot be filled: {error}"),
            "`${index}` counts from 1",
        ),
    }
    None
}

fn mint<'load>(context: &Context<'load>, shape: &'load raw::Mint, at: At<'load>) -> Option<Mint> {
    let (algorithm, form) = match shape.algorithm {
        raw::MintAlgorithm::HS256 => (jsonwebtoken::Algorithm::HS256, Shape::Line),
        raw::MintAlgorithm::RS256 => (jsonwebtoken::Algorithm::RS256, Shape::Pem),
        raw::MintAlgorithm::ES256 => (jsonwebtoken::Algorithm::ES256, Shape::Pem),
    };
    let lexicon = Lexicon::new(Rc::clone(&context.functions)).with("target", target::root(context));
    let claims = lexicon.json(&shape.claims, at.key("claims"));
    if !matches!(claims, JsonTemplate::Object(_)) {
        at.key("claims")
            .wrong("the claims are no mapping", "write `claims: { sub: …, aud: … }`");
    }
    let lifetime = duration(context, &shape.lifetime, Scale::Real, at.key("lifetime"));
    let key = find(context, &shape.key, (form, Presence::Required), at.key("key")).secret()?;
    key_fits(&key, algorithm, at.key("key"));
    Some(Mint {
        algorithm,
        key,
        key_id: shape.key_id.clone(),
        claims,
        lifetime,
    })
}

/// Whether the key can sign, so that a wrong one is seen at load and not at the first token.
fn key_fits(key: &Secret, algorithm: jsonwebtoken::Algorithm, at: At) {
    use jsonwebtoken::{Algorithm, EncodingKey};
    let pem = key.expose().as_bytes();
    let parsed = match algorithm {
        Algorithm::RS256 => EncodingKey::from_rsa_pem(pem).map(drop),
        Algorithm::ES256 => EncodingKey::from_ec_pem(pem).map(drop),
        _ => Ok(()),
    };
    if parsed.is_err() {
        let help = if key.expose().contains("BEGIN EC PRIVATE KEY") {
            "the key is SEC1; convert it: openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW"
        } else {
            "write a PKCS#8 PEM file (BEGIN PRIVATE KEY) of the algorithm's kind"
        };
        at.wrong(format!("the key cannot sign {algorithm:?}"), help);
    }
}
