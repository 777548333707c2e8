//! Credentials: whose turn it is (`leases`), and the tokens of users, kept across runs so that nobody logs in twice for
//! nothing. Owns: every token of the process. Must not: send anything; logging in is a step's business (`login.rs`).

mod leases;
mod tokens;
mod users;

pub(super) use leases::{Lease, Leases, Refusal, full_names};
pub(super) use tokens::{Slot, SlotState, TokenClock, Tokens};
pub(super) use users::UserPlace;

use crate::catalog::{Access, Catalog, CredentialSource, Login, Mint, Pool, Shown, User};
use crate::secret::Secret;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// Bytes of a user's digest that are kept: enough to tell users of a pool apart, too little to guess an account from.
const DIGEST_BYTES: usize = 8;

/// The token slots of every user and of every minted credential.
pub(super) struct Credentials {
    users: BTreeMap<UserPlace, Arc<UserCredential>>,
    minted: BTreeMap<String, Arc<Slot>>,
}

/// What a user of a pool logs in with, and the tokens it has.
pub(super) struct UserCredential {
    /// How to log in.
    pub login: Arc<Login>,
    /// What to log in with.
    pub fields: BTreeMap<String, Secret>,
    /// Its tokens.
    pub slot: Slot,
}

impl Credentials {
    pub(super) fn new(catalog: &Catalog) -> Self {
        let (mut users, mut minted) = (BTreeMap::new(), BTreeMap::new());
        for (name, source) in &catalog.credentials {
            match source {
                CredentialSource::Pool(pool) => users.extend(users_of(pool)),
                CredentialSource::Mint(_) => drop(minted.insert(name.clone(), Arc::default())),
            }
        }
        Self { users, minted }
    }

    /// The user at `place`.
    pub(super) fn user(&self, place: &UserPlace) -> Option<&Arc<UserCredential>> {
        self.users.get(place)
    }

    /// The token slot of a minted credential.
    pub(super) fn minted(&self, source: &str) -> Option<&Arc<Slot>> {
        self.minted.get(source)
    }
}

fn users_of(pool: &Pool) -> impl Iterator<Item = (UserPlace, Arc<UserCredential>)> {
    pool.users.iter().enumerate().map(|(index, user)| {
        let credential = UserCredential {
            login: Arc::clone(&pool.login),
            fields: user.fields.clone(),
            slot: Slot::default(),
        };
        ((pool.name.clone(), index), Arc::new(credential))
    })
}

/// Every secret that the configuration holds, for the redactor.
pub(super) fn configured_secrets(catalog: &Catalog) -> Vec<&Secret> {
    let wire = &catalog.target.wire;
    let mut secrets: Vec<&Secret> = match &wire.proxy_authorization {
        Some(Shown::Fixed(secret)) => vec![secret],
        Some(Shown::Token(_)) | None => Vec::new(),
    };
    secrets.extend(wire.proxy.iter().filter_map(|proxy| proxy.authorization.as_ref()));
    secrets.extend(catalog.service.api_token.iter());
    let fetch = catalog.target.logs.as_ref().and_then(|logs| logs.fetch.as_ref());
    if let Some(Access::Account { key, .. }) = fetch.map(|fetch| &fetch.settings.access) {
        secrets.push(key);
    }
    for source in catalog.credentials.values() {
        match source {
            CredentialSource::Pool(pool) => secrets.extend(pool.users.iter().flat_map(|user| user.fields.values())),
            CredentialSource::Mint(Mint { key, .. }) => secrets.push(key),
        }
    }
    secrets
}

/// Names a user in the journal: the same after a restart and in another order of the pool.
fn digest_of(pool: &Pool, user: &User) -> String {
    let mut text = pool.name.clone();
    for (name, value) in &user.fields {
        text.push('\0');
        text.push_str(name);
        text.push('\0');
        text.push_str(value.expose());
    }
    digest(&text, DIGEST_BYTES)
}

/// The first bytes of the SHA-256 of `text`, hexadecimal.
pub(super) fn digest(text: &str, bytes: usize) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let mut hex = String::with_capacity(2 * bytes);
    for byte in digest.as_ref().iter().take(bytes) {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
