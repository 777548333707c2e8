//! What one run may act with: its leased users, what may be said of them, and the secrets it captured.
//! Must not: log in; `login.rs` does.

use super::bindings::{Bindings, Layer};
use super::credentials::{Lease, digest, full_names};
use crate::catalog::Scenario;
use crate::expression::Shared;
use crate::probe::jwt;
use crate::secret::{Redactor, Secret};
use crate::transcript::CredentialFacts;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of the SHA-256 of a captured secret that are shown: enough to tell two apart.
const DIGEST_BYTES: usize = 6;

/// The credentials of one run.
pub(super) struct Purse {
    /// The users it may act for.
    pub(super) lease: Lease,
    facts: Mutex<BTreeMap<String, CredentialFacts>>,
    secrets: Mutex<BTreeMap<String, Secret>>,
    /// Access tokens of this run's credentials, by full name.
    tokens: Mutex<BTreeMap<String, Secret>>,
}

impl Purse {
    /// The purse of a run of `scenario` with the users of `lease`.
    pub(super) fn new(scenario: &Scenario, lease: Lease) -> Self {
        let names = scenario
            .credentials
            .iter()
            .flat_map(|used| full_names(used).map(move |name| (name, used)));
        let facts = names.map(|(name, used)| {
            let user = match lease.user(&name) {
                Some((pool, index)) => format!("{pool}#{}", index + 1),
                None => used.source.clone(),
            };
            (
                name,
                CredentialFacts {
                    user,
                    ..CredentialFacts::default()
                },
            )
        });
        Self {
            facts: Mutex::new(facts.collect()),
            lease,
            secrets: Mutex::default(),
            tokens: Mutex::default(),
        }
    }

    /// The full name of credential `name` in `layer`: `many` means `many[2]` in the third pass of a repetition.
    pub(super) fn full_name(&self, layer: &Layer, name: &str) -> String {
        let facts = self.facts();
        let index = layer.crowd.last().or(layer.place.last());
        let numbered = index.map(|index| format!("{name}[{index}]"));
        numbered
            .filter(|full| !facts.contains_key(name) && facts.contains_key(full))
            .unwrap_or_else(|| name.to_owned())
    }

    /// Sets the credentials' variables: in the run all of them, in a pass of a repetition its own of each numbered one.
    pub(super) fn show(&self, bindings: &Bindings, layer: &Layer) {
        let mut lists: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        let facts = self.facts();
        for (name, facts) in facts.iter() {
            match name.split_once('[') {
                Some((base, _)) => lists.entry(base).or_default().push(view(facts)),
                None => bindings.set(name, &view(facts)),
            }
        }
        for (base, list) in lists {
            let numbered = (0..list.len())
                .filter_map(|index| facts.get(&format!("{base}[{index}]")))
                .map(view);
            bindings.set(base, &numbered.collect());
            let index = layer.crowd.last().or(layer.place.last());
            if let Some(own) = index.and_then(|index| facts.get(&format!("{base}[{index}]"))) {
                layer.set(base, Shared::of(&view(own)));
            }
        }
    }

    /// Whether the token of credential `name` (full) has been looked at.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.facts()
            .get(name)
            .is_some_and(|facts| !facts.claims.is_empty() || !facts.sub.is_empty())
    }

    /// Keeps what may be said of the token of credential `name` (full).
    pub(super) fn learn(&self, name: &str, redactor: &Redactor, token: &Secret) {
        let known = lock(&self.tokens).insert(name.to_owned(), token.clone());
        if known.is_some_and(|known| known.expose() == token.expose()) {
            return;
        }
        let claims = jwt::claims(token).unwrap_or_default();
        let sub = match claims.get("sub") {
            Some(Value::String(sub)) => redactor.text(sub).into_owned(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let mut claims = Value::Object(jwt::public_claims(&claims));
        redactor.json(&mut claims);
        if let (Some(facts), Value::Object(claims)) = (self.facts().get_mut(name), claims) {
            facts.sub = sub;
            facts.claims = claims;
        }
    }

    /// The access tokens of this run, which the target might echo to others.
    pub(super) fn tokens(&self) -> Vec<Secret> {
        lock(&self.tokens).values().cloned().collect()
    }

    /// What may be said of `name` (full), for templates.
    pub(super) fn facts_view(&self, name: &str) -> Option<Value> {
        self.facts().get(name).map(view)
    }

    /// What may be said of all credentials, for the transcript.
    pub(super) fn take_facts(&self) -> BTreeMap<String, CredentialFacts> {
        std::mem::take(&mut self.facts())
    }

    /// Keeps a captured secret. Gives what may be shown of it: header and claims of a JWT, and a digest.
    pub(super) fn keep_secret(&self, redactor: &Redactor, name: &str, text: String) -> Value {
        let secret = Secret::new(text);
        redactor.learn(&secret);
        let header = jwt::header(&secret).unwrap_or_default();
        let claims = jwt::claims(&secret).unwrap_or_default();
        let mut shown = json!({ "header": header, "claims": jwt::public_claims(&claims) });
        if let Some(sub) = claims.get("sub") {
            shown["claims"]["sub"] = sub.clone();
        }
        redactor.json(&mut shown);
        if let Value::Object(shown) = &mut shown {
            shown.insert("digest".to_owned(), Value::from(digest(secret.expose(), DIGEST_BYTES)));
        }
        self.secrets().insert(name.to_owned(), secret);
        shown
    }

    /// A captured secret.
    pub(super) fn secret(&self, name: &str) -> Option<Secret> {
        self.secrets().get(name).cloned()
    }

    /// All captured secrets as templates read them (`secret.NAME`). Only while a request is built.
    pub(super) fn exposed_secrets(&self) -> Value {
        let exposed: Map<String, Value> = self
            .secrets()
            .iter()
            .map(|(name, secret)| (name.clone(), Value::from(secret.expose())))
            .collect();
        Value::Object(exposed)
    }

    fn facts(&self) -> MutexGuard<'_, BTreeMap<String, CredentialFacts>> {
        lock(&self.facts)
    }

    fn secrets(&self) -> MutexGuard<'_, BTreeMap<String, Secret>> {
        lock(&self.secrets)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn view(facts: &CredentialFacts) -> Value {
    json!({ "user": facts.user, "sub": facts.sub, "claims": facts.claims })
}
