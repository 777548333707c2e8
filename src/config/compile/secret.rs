//! Secrets: read by reference, refused by reference, never shown by value (faults.md D27, S01, S31).

use super::Context;
use super::scalar::url;
use crate::catalog::{Access, Shown};
use crate::config::environment::Owner;
use crate::config::error::At;
use crate::config::raw::{SecretSource, WorkloadIdentity};
use crate::limits::{SECRET_BYTES_MAX, SECRET_BYTES_MIN};
use crate::secret::Secret;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where systemd puts what `LoadCredential=` names.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
/// Added to a variable's name, it names the variable that says in which file the secret is: so that a deployment can mount
/// files without a change of the configuration.
const FILE_SUFFIX: &str = "_FILE";
/// Where the metadata server is on every machine of Google Cloud.
const METADATA_SERVER: &str = "http://metadata.google.internal/";
/// What a secret file's mode may not have: writable or executable by the group, anything for others.
const LOOSE_MODE: u32 = 0o037;

/// What kind of text a secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One line without its end.
    Line,
    /// A PEM file.
    Pem,
}

/// Whether a secret that is not there is a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is.
    Required,
    /// It is not; whoever needs it says `credential_missing`.
    Optional,
}

/// What asking for a secret gave.
pub enum Found {
    /// The secret.
    Here(Secret),
    /// Not there, and allowed not to be.
    Missing,
    /// A mistake, which has been said.
    Wrong,
}

impl Found {
    /// The secret, if it is there.
    pub fn secret(self) -> Option<Secret> {
        match self {
            Self::Here(secret) => Some(secret),
            Self::Missing | Self::Wrong => None,
        }
    }
}

/// The only source that is written out.
enum Reference<'source> {
    Variable(&'source str),
    File(PathBuf, String),
    Value(&'source str),
}

/// A secret line that must be there.
pub fn required(context: &Context, source: &SecretSource, at: At) -> Option<Secret> {
    find(context, source, (Shape::Line, Presence::Required), at).secret()
}

/// A secret line that must be there, or a token that is fetched when it is needed.
pub fn shown(context: &Context, source: &SecretSource, at: At) -> Option<Shown> {
    match source {
        SecretSource {
            env: None,
            file: None,
            credential: None,
            value: None,
            identity: Some(identity),
        } => identity_token(identity, at.key("identity")).map(Shown::Token),
        _ => required(context, source, at).map(Shown::Fixed),
    }
}

fn identity_token(shape: &WorkloadIdentity, at: At) -> Option<Access> {
    let metadata = shape.metadata.as_deref().unwrap_or(METADATA_SERVER);
    let metadata = url(metadata, &["http", "https"], at.key("metadata"));
    match &shape.audience {
        None => Some(Access::Metadata(metadata)),
        Some(audience) if audience.trim() == audience && !audience.is_empty() => Some(Access::Identity {
            metadata,
            audience: audience.clone(),
        }),
        Some(_) => {
            at.key("audience").wrong(
                "the audience is empty, or begins or ends with a space",
                "write the client id of the proxy, or the URL of the service",
            );
            None
        }
    }
}

/// Finds a secret; says what is wrong with it.
pub fn find(context: &Context, source: &SecretSource, (shape, presence): (Shape, Presence), at: At) -> Found {
    let Some(reference) = reference(context, source, presence, at) else {
        return if presence == Presence::Optional && source.credential.is_some() {
            Found::Missing
        } else {
            Found::Wrong
        };
    };
    let text = match &reference {
        Reference::Value(text) => Ok((*text).to_owned()),
        Reference::Variable(name) => context.environment.variable(name).ok_or_else(|| {
            Refusal::Missing(
                format!("the environment variable {name} is not set"),
                format!("set {name}, or {name}{FILE_SUFFIX} to the path of a file"),
            )
        }),
        Reference::File(path, name) => read(context, path, name),
    };
    let name = match &reference {
        Reference::Variable(name) => format!("the environment variable {name}"),
        Reference::File(_, name) => format!("the secret file {name}"),
        Reference::Value(_) => "the secret".to_owned(),
    };
    match text.and_then(|text| shaped(text, &name, shape)) {
        Ok(text) => {
            let secret = Secret::new(text);
            let file = match &reference {
                Reference::File(path, _) => Some(path.as_path()),
                Reference::Variable(_) | Reference::Value(_) => None,
            };
            context.seen.borrow_mut().take(file, &secret);
            Found::Here(secret)
        }
        Err(Refusal::Missing(..)) if presence == Presence::Optional => Found::Missing,
        Err(Refusal::Missing(message, help) | Refusal::Wrong(message, help)) => {
            at.wrong(message, help);
            Found::Wrong
        }
    }
}

enum Refusal {
    Missing(String, String),
    Wrong(String, String),
}

fn wrong(message: String, help: &str) -> Refusal {
    Refusal::Wrong(message, help.to_owned())
}

fn reference<'source>(
    context: &Context,
    source: &'source SecretSource,
    presence: Presence,
    at: At,
) -> Option<Reference<'source>> {
    if source.identity.is_some() {
        at.wrong(
            "a token of the workload changes from hour to hour; here stands a secret that stays, and exactly one source of it",
            "write one of: {env: NAME}, {file: PATH}, {credential: NAME}; `identity` alone is for `proxy_authorization` and \
             the `bearer` of an Alertmanager",
        );
        return None;
    }
    match (&source.env, &source.file, &source.credential, &source.value) {
        (Some(name), None, None, None) => {
            let pointer = format!("{name}{FILE_SUFFIX}");
            match (
                context.environment.variable(name),
                context.environment.variable(&pointer),
            ) {
                (Some(_), Some(_)) => {
                    at.key("env").wrong(
                        format!("both {name} and {pointer} are set"),
                        "set one of them: which one holds the current secret?",
                    );
                    None
                }
                (None, Some(path)) => Some(Reference::File(context.path(&path), format!("{path} ({pointer})"))),
                _ => Some(Reference::Variable(name)),
            }
        }
        (None, Some(name), None, None) => Some(Reference::File(context.path(name), name.clone())),
        (None, None, Some(name), None) => {
            let Some(folder) = context.environment.variable(CREDENTIALS_DIRECTORY) else {
                if presence == Presence::Required {
                    at.wrong(
                        format!("{CREDENTIALS_DIRECTORY} is not set, so there is no systemd credential {name}"),
                        format!("write `LoadCredential={name}:…` into the unit, or take `env:` or `file:`"),
                    );
                }
                return None;
            };
            if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
                at.key("credential")
                    .wrong(format!("`{name}` is no name of a credential"), "write its plain name");
                return None;
            }
            Some(Reference::File(Path::new(&folder).join(name), name.clone()))
        }
        (None, None, None, Some(_)) if !context.is_loopback => {
            at.key("value").wrong(
                "a secret stands in the configuration itself, and the target is not on this machine",
                "write {env: NAME}, {file: PATH} or {credential: NAME}",
            );
            None
        }
        (None, None, None, Some(text)) => Some(Reference::Value(text)),
        _ => {
            at.wrong(
                "a secret comes from exactly one source",
                "write one of: {env: NAME}, {file: PATH}, {credential: NAME}",
            );
            None
        }
    }
}

fn read(context: &Context, path: &Path, name: &str) -> Result<String, Refusal> {
    let file = context
        .environment
        .read(path, SECRET_BYTES_MAX)
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => Refusal::Missing(
                format!("the secret file {name} does not exist"),
                "create it, mode 0600".to_owned(),
            ),
            ErrorKind::FileTooLarge => wrong(
                format!("the secret file {name} is larger than {SECRET_BYTES_MAX} bytes"),
                "name the file that holds the secret and nothing else",
            ),
            _ => wrong(
                format!("the secret file {name} cannot be read: {error}"),
                "let the user of the daemon read it",
            ),
        })?;
    if file.mode & LOOSE_MODE != 0 {
        return Err(wrong(
            format!(
                "the secret file {name} has mode {:04o}: others can read or change it",
                file.mode & 0o777
            ),
            "chmod 0600, or 0640 at most",
        ));
    }
    if file.owner == Owner::Foreign {
        return Err(wrong(
            format!("the secret file {name} belongs to somebody else"),
            "chown it to the user of the daemon, or to root",
        ));
    }
    if file.bytes.starts_with(&[0xEF, 0xBB, 0xBF]) {
        return Err(wrong(
            format!("the secret file {name} begins with a byte order mark"),
            "save it without one",
        ));
    }
    String::from_utf8(file.bytes)
        .map_err(|_| wrong(format!("the secret file {name} is not UTF-8"), "save it as plain text"))
}

/// The text, if it has its shape.
fn shaped(text: String, name: &str, shape: Shape) -> Result<String, Refusal> {
    if text.trim().is_empty() {
        return Err(wrong(format!("{name} is empty"), "put the secret into it"));
    }
    if shape == Shape::Pem {
        return Ok(text);
    }
    if text.starts_with('\u{feff}') {
        return Err(wrong(
            format!("{name} begins with a byte order mark"),
            "save it without one",
        ));
    }
    if text.contains('\r') {
        return Err(wrong(
            format!("{name} holds a carriage return"),
            "write it without a line end: printf %s SECRET > FILE",
        ));
    }
    if text.contains('\n') {
        return Err(wrong(
            format!("{name} ends with, or holds, a line end"),
            "write it without one: printf %s SECRET > FILE",
        ));
    }
    if text.trim() != text {
        return Err(wrong(
            format!("{name} begins or ends with a space"),
            "write the secret alone",
        ));
    }
    if text.len() < SECRET_BYTES_MIN {
        return Err(wrong(
            format!("{name} is shorter than {SECRET_BYTES_MIN} bytes"),
            "take a longer one: it is looked for in everything that is stored, to be hidden there",
        ));
    }
    Ok(text)
}
