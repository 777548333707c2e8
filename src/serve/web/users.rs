//! Users with bcrypt hashes. A right password costs its hash once; a wrong name costs as much as a wrong password.

use crate::limits::{WEB_BCRYPT_COST_MAX, WEB_HASHING_MAX, WEB_PASSWORDS_KNOWN_MAX};
use aws_lc_rs::digest::{SHA256, digest};
use bcrypt::HashParts;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Everybody who may read.
pub(super) struct Users {
    hashes: BTreeMap<String, String>,
    /// The hash of no password, as costly as the others.
    nobody: String,
    /// Digests of what was found right, so that a scrape does not cost a hash.
    right: Mutex<BTreeSet<[u8; 32]>>,
    hashing: Arc<Semaphore>,
}

impl Users {
    pub(super) fn new(hashes: BTreeMap<String, String>) -> Result<Self, String> {
        let mut cost = 0;
        for (name, hash) in &hashes {
            let parts: HashParts = hash.parse().map_err(|_| {
                format!("basic_auth_users: what stands for `{name}` is no bcrypt hash: write the output of htpasswd -nBC 10 {name}")
            })?;
            if parts.get_cost() > WEB_BCRYPT_COST_MAX {
                return Err(format!(
                    "basic_auth_users: the hash of `{name}` has cost {}, more than {WEB_BCRYPT_COST_MAX}, which takes seconds",
                    parts.get_cost()
                ));
            }
            cost = cost.max(parts.get_cost());
        }
        let nobody = if hashes.is_empty() {
            String::new()
        } else {
            bcrypt::hash("nobody", cost).map_err(|error| error.to_string())?
        };
        Ok(Self {
            hashes,
            nobody,
            right: Mutex::default(),
            hashing: Arc::new(Semaphore::new(WEB_HASHING_MAX)),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether this is a user with this password.
    pub(super) async fn admits(&self, name: &str, password: &str) -> bool {
        let (hash, known) = match self.hashes.get(name) {
            Some(hash) => (hash.clone(), true),
            None => (self.nobody.clone(), false),
        };
        let shown = fingerprint([name, password, &hash]);
        if known && self.lock().contains(&shown) {
            return true;
        }
        let Ok(_permit) = self.hashing.acquire().await else {
            return false;
        };
        let password = password.to_owned();
        let checked = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash));
        let right = matches!(checked.await, Ok(Ok(true))) && known;
        if right {
            let mut seen = self.lock();
            if seen.len() >= WEB_PASSWORDS_KNOWN_MAX {
                seen.clear();
            }
            seen.insert(shown);
        }
        right
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<[u8; 32]>> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Parts of different lengths cannot look alike: each is hashed by itself first.
fn fingerprint(parts: [&str; 3]) -> [u8; 32] {
    let each = parts.map(|part| digest(&SHA256, part.as_bytes()));
    let whole: Vec<u8> = each.iter().flat_map(|part| part.as_ref()).copied().collect();
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, &whole).as_ref());
    bytes
}
