//! Credentials of scenarios, and what a step shows as its credential.

use super::Context;
use super::credential::field_names;
use super::scalar::{identifier_key, number};
use crate::catalog::CredentialUse;
use crate::catalog::step::{Auth, TokenKind};
use crate::config::error::At;
use crate::config::lexicon::{Lexicon, Root};
use crate::config::raw::{self, TextOr, TokenChoice};
use crate::config::words::{one_of, suggest};
use std::collections::BTreeSet;

/// Which transports a step allows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Transports {
    /// `Authorization` only.
    Header,
    /// `Authorization` and an offered subprotocol.
    HeaderAndSubprotocol,
}

/// What `auth` may name.
pub struct AuthScope<'scope> {
    /// The credentials of the scenario.
    pub credentials: &'scope [CredentialUse],
    /// Secret captures made so far.
    pub secrets: &'scope BTreeSet<String>,
    /// How often the enclosing `times` runs the step, if there is one.
    pub times: Option<u32>,
}

/// The credentials of a scenario, in order.
pub fn credentials(context: &Context, shape: &raw::Scenario, at: At) -> Vec<CredentialUse> {
    let mut uses = Vec::new();
    if let Some(only) = &shape.credential {
        if !shape.credentials.0.is_empty() {
            at.key("credential").wrong(
                "both `credential` and `credentials`",
                "write `credentials` with all of them",
            );
        }
        uses.extend(credential_use(
            context,
            "credential",
            (only, &shape.credentials),
            at.key("credential"),
        ));
    }
    for (name, one) in shape.credentials.iter() {
        let at = at.key("credentials").key(name);
        identifier_key(name, "credential", at);
        uses.extend(credential_use(context, name, (one, &shape.credentials), at));
    }
    enough_users(context, &uses, at);
    uses
}

fn credential_use(
    context: &Context,
    name: &str,
    (shape, others): (&raw::Use, &raw::Named<raw::Use>),
    at: At,
) -> Option<CredentialUse> {
    const FORMS: &str = "write `{pool: NAME}`, `{mint: NAME}` or `{same_as: NAME}`";
    let count = number(
        shape.count.unwrap_or(1),
        "count",
        (1, crate::limits::REPETITIONS_MAX),
        at.key("count"),
    );
    let (source, same_as) = match (&shape.pool, &shape.mint, &shape.same_as) {
        (Some(pool), None, None) => (pool, None),
        (None, Some(mint), None) => (mint, None),
        (None, None, Some(other)) => {
            let Some(first) = others
                .get(other)
                .filter(|first| first.same_as.is_none() && other != name)
            else {
                let known = others
                    .iter()
                    .filter(|(known, one)| *known != name && one.same_as.is_none());
                let known: Vec<&str> = known.map(|(known, _)| known).collect();
                at.key("same_as")
                    .wrong(format!("there is no credential `{other}` to share"), one_of(known));
                return None;
            };
            (first.pool.as_ref().or(first.mint.as_ref())?, Some(other.clone()))
        }
        _ => {
            at.wrong(format!("the credential `{name}` has no source, or several"), FORMS);
            return None;
        }
    };
    let known = context.main.credentials.get(source);
    let fits = known.is_some_and(|known| match same_as {
        None if shape.pool.is_some() => known.pool.is_some(),
        None => known.mint.is_some(),
        Some(_) => true,
    });
    if !fits && same_as.is_none() {
        let (key, kind) = if shape.pool.is_some() {
            ("pool", "pool")
        } else {
            ("mint", "minted credential")
        };
        let of_kind = context.main.credentials.iter().filter(|(_, one)| match key {
            "pool" => one.pool.is_some(),
            _ => one.mint.is_some(),
        });
        let names: Vec<&str> = of_kind.map(|(name, _)| name).collect();
        let help = match known {
            Some(known) if known.pool.is_some() => format!("`{source}` is a pool: write `pool: {source}`"),
            Some(_) => format!("`{source}` is minted: write `mint: {source}`"),
            None => suggest(source, names),
        };
        at.key(key)
            .wrong(format!("the {kind} `{source}` is not configured"), help);
        return None;
    }
    Some(CredentialUse {
        name: name.to_owned(),
        source: source.clone(),
        same_as,
        count,
    })
}

/// Distinct users are needed for all credentials of one pool that do not share one.
fn enough_users(context: &Context, uses: &[CredentialUse], at: At) {
    let sources: BTreeSet<&str> = uses.iter().map(|one| one.source.as_str()).collect();
    for source in sources {
        let Some(pool) = context
            .main
            .credentials
            .get(source)
            .and_then(|source| source.pool.as_ref())
        else {
            continue;
        };
        let users = pool
            .users_from
            .as_ref()
            .map_or(pool.users.len(), |from| from.count as usize);
        let needed: usize = uses
            .iter()
            .filter(|one| one.source == source && one.same_as.is_none())
            .map(|one| one.count as usize)
            .sum();
        if needed > users {
            let at = if uses.iter().any(|one| one.name == "credential") {
                at.key("credential")
            } else {
                at.key("credentials")
            };
            at.wrong(
                format!("the scenario needs {needed} users of the pool `{source}`, which has {users}"),
                "add users to the pool, or share one with `same_as`",
            );
        }
    }
}

/// What an expression or template sees of a credential; secrets only in requests.
pub fn credential_root(context: &Context, one: &CredentialUse, with_secrets: bool) -> Root {
    if one.count > 1 {
        return Root::Context;
    }
    let mut fields = vec!["user", "sub", "claims"];
    if with_secrets {
        fields.extend(["token", "refresh_token"]);
    }
    Root::fields(fields.into_iter().filter(|field| {
        // The fields of minted credentials hold no user.
        *field != "user"
            || !with_secrets
            || context
                .main
                .credentials
                .get(&one.source)
                .is_some_and(|source| source.pool.is_some())
    }))
}

/// Says so when a template reads a field that the users of the pool do not have.
pub fn user_fields(context: &Context, uses: &[CredentialUse], holes: &[&crate::expression::Expression], at: At) {
    for path in holes.iter().flat_map(|hole| hole.reads()) {
        let Some(one) = uses.iter().find(|one| one.name == path.root) else {
            continue;
        };
        let [user, field, ..] = path.fields.as_slice() else {
            continue;
        };
        let Some(pool) = context
            .main
            .credentials
            .get(&one.source)
            .and_then(|source| source.pool.as_ref())
        else {
            continue;
        };
        let known = field_names(pool);
        if user == "user" && !known.contains(&field.as_str()) {
            at.wrong(
                format!("users of the pool `{}` have no `{field}`", one.source),
                suggest(field, known),
            );
        }
    }
}

/// What a step shows.
pub fn auth<'load>(
    scope: &AuthScope,
    (shape, transports): (Option<&'load TextOr<raw::DetailedAuth>>, Transports),
    holes: &Lexicon,
    at: At<'load>,
) -> Auth {
    let allows_subprotocol = transports == Transports::HeaderAndSubprotocol;
    let forms = if allows_subprotocol {
        "write none, header, subprotocol, {header: …}, {subprotocol: …} or {raw: …}"
    } else {
        "write none, header, {header: …} or {raw: …}"
    };
    let plain = |at: At| token(scope, &TextOr::Text("valid".to_owned()), at);
    match shape {
        None => Auth::None,
        Some(TextOr::Text(word)) => match word.as_str() {
            "none" => Auth::None,
            "header" => in_header(plain(at)),
            "subprotocol" if allows_subprotocol => in_subprotocol(plain(at)),
            _ => {
                at.wrong(format!("`{word}` is no way to show a credential here"), forms);
                Auth::None
            }
        },
        Some(TextOr::Detailed(detailed)) => match (&detailed.header, &detailed.subprotocol, &detailed.raw) {
            (Some(choice), None, None) => in_header(token(scope, choice, at.key("header"))),
            (None, Some(choice), None) if allows_subprotocol => {
                in_subprotocol(token(scope, choice, at.key("subprotocol")))
            }
            (None, None, Some(text)) => Auth::Raw(holes.template_or_placeholder(text, at.key("raw"))),
            _ => {
                at.wrong("a credential is shown in exactly one way", forms);
                Auth::None
            }
        },
    }
}

fn in_header(choice: Option<(String, TokenKind)>) -> Auth {
    choice.map_or(Auth::None, |(credential, token)| Auth::Header { credential, token })
}

fn in_subprotocol(choice: Option<(String, TokenKind)>) -> Auth {
    choice.map_or(Auth::None, |(credential, token)| Auth::Subprotocol {
        credential,
        token,
    })
}

fn token(scope: &AuthScope, shape: &TextOr<TokenChoice>, at: At) -> Option<(String, TokenKind)> {
    let (credential, credential_at, kind) = match shape {
        TextOr::Text(word) => ("credential", at, kind(word, at)?),
        TextOr::Detailed(choice) => {
            let kind = match (&choice.token, &choice.captured) {
                (None, None) => TokenKind::Valid,
                (Some(word), None) => kind(word, at.key("token"))?,
                (None, Some(name)) => captured(scope, name, at.key("captured"))?,
                (Some(_), Some(_)) => {
                    at.wrong("both `token` and `captured`", "write one of them");
                    return None;
                }
            };
            (
                choice.credential.as_deref().unwrap_or("credential"),
                at.key("credential"),
                kind,
            )
        }
    };
    let is_captured = matches!(kind, TokenKind::Captured(_));
    let Some(used) = scope.credentials.iter().find(|one| one.name == credential) else {
        if is_captured && credential == "credential" {
            return Some((credential.to_owned(), kind));
        }
        let known: Vec<&str> = scope.credentials.iter().map(|one| one.name.as_str()).collect();
        let help = if known.is_empty() {
            "add `credential: { pool: NAME }` to the scenario".to_owned()
        } else {
            suggest(credential, known)
        };
        credential_at.wrong(format!("the scenario has no credential `{credential}`"), help);
        return None;
    };
    match scope.times {
        None if used.count > 1 => credential_at.wrong(
            format!("the credential `{credential}` stands for {} users", used.count),
            "use it inside `times`, where each of them takes one",
        ),
        Some(times) if used.count > 1 && times > used.count => credential_at.wrong(
            format!(
                "`times: {times}` needs more users than the {} of `{credential}`",
                used.count
            ),
            format!("write `count: {times}`, or fewer times"),
        ),
        _ => {}
    }
    Some((credential.to_owned(), kind))
}

fn kind(word: &str, at: At) -> Option<TokenKind> {
    match word {
        "valid" => Some(TokenKind::Valid),
        "tampered" => Some(TokenKind::Tampered),
        "alg_none" => Some(TokenKind::AlgNone),
        "aged" => Some(TokenKind::Aged),
        _ => {
            at.wrong(
                format!("`{word}` is no kind of token"),
                suggest(word, vec!["valid", "tampered", "alg_none", "aged"]),
            );
            None
        }
    }
}

fn captured(scope: &AuthScope, name: &str, at: At) -> Option<TokenKind> {
    if scope.secrets.contains(name) {
        return Some(TokenKind::Captured(name.to_owned()));
    }
    let known: Vec<&str> = scope.secrets.iter().map(String::as_str).collect();
    let help = if known.is_empty() {
        "capture one before: `capture: { NAME: { secret: … } }`".to_owned()
    } else {
        suggest(name, known)
    };
    at.wrong(format!("no step before captures the secret `{name}`"), help);
    None
}
