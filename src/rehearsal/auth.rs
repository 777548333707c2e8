//! The auth service: accounts, logins, refresh, logout and validation (contract §3.6, §6).
//! It owns who may have a token and which were revoked; signatures belong to `tokens`, HTTP to `auth/http.rs`.

pub mod http;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest;

use super::faults::{Fault, Faults};
use super::timing::{self, Timing};
use super::tokens::{Claims, Mint, Side, Subject, TokenKind};

/// Domain of every account; reserved by RFC 2606, so it can never be anybody's address.
const DOMAIN: &str = "@rehearsal.invalid";
/// The one password of every account.
const PASSWORD: &str = "rehearsal-only";
/// Local parts that start so get a numeric sub, as accounts from Google have (contract §9, incident 27).
const NUMERIC_PREFIX: &str = "numeric-";
/// Revoked and used token ids kept; the ones that expire first go first.
const LEDGER_MAX: usize = 50_000;
/// Accounts remembered for `/auth/me`.
const ACCOUNTS_MAX: usize = 10_000;

/// Who a valid access token belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The stable id.
    pub sub: String,
    /// The e-mail address.
    pub email: String,
    /// Id of the token that was shown.
    pub jti: String,
    /// Seconds since 1970 after which the token is refused.
    pub exp: u64,
}

/// A pair of tokens as login and refresh hand it out.
pub struct Pair {
    /// Opens the API and the socket.
    pub access: String,
    /// Buys one new pair.
    pub refresh: String,
    /// What `expires_in` says, in seconds; truthful unless a fault says otherwise.
    pub expires_in: u64,
    /// The user's id.
    pub sub: String,
    /// The user's e-mail address.
    pub email: String,
}

/// Why there is no pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// Wrong e-mail, password or token.
    Credentials,
    /// The refresh token was used before.
    Replayed,
    /// The token could not be signed.
    Internal,
}

/// When an account was first and last seen.
#[derive(Clone, Copy)]
struct Account {
    created_at: f64,
    last_login_at: f64,
}

/// The auth service's state, one for the whole staging.
pub struct AuthService {
    mint: Mint,
    timing: Timing,
    accounts: Mutex<HashMap<String, Account>>,
    revoked: Mutex<HashMap<String, u64>>,
    used: Mutex<HashMap<String, u64>>,
}

impl AuthService {
    /// A service with a new secret and no account seen yet.
    pub fn new(timing: Timing) -> Self {
        Self {
            mint: Mint::new(),
            timing,
            accounts: Mutex::default(),
            revoked: Mutex::default(),
            used: Mutex::default(),
        }
    }

    /// Logs in one of the rehearsal's accounts.
    pub fn login(&self, email: &str, password: &str, faults: &Faults) -> Result<Pair, Denial> {
        let email = email.trim().to_ascii_lowercase();
        let local = email.strip_suffix(DOMAIN).unwrap_or("");
        if local.is_empty() || local.contains('@') || password != PASSWORD {
            return Err(Denial::Credentials);
        }
        let sub = sub_of(&email);
        let now = timing::now_unix();
        let mut accounts = lock(&self.accounts);
        if accounts.len() < ACCOUNTS_MAX || accounts.contains_key(&sub) {
            let account = accounts.entry(sub.clone()).or_insert(Account {
                created_at: now,
                last_login_at: now,
            });
            account.last_login_at = now;
        }
        drop(accounts);
        self.pair(&sub, &email, faults, None)
    }

    /// Trades a refresh token for a new pair; each token works once (of several at once, one wins).
    pub fn refresh(&self, token: &str, faults: &Faults) -> Result<Pair, Denial> {
        let claims = self
            .mint
            .verify(token, TokenKind::Refresh, (Side::Auth, faults))
            .map_err(|_| Denial::Credentials)?;
        if lock(&self.revoked).contains_key(&claims.jti) {
            return Err(Denial::Credentials);
        }
        let first_use = note(&self.used, &claims);
        if !first_use && !faults.on(Fault::RefreshReusable) {
            return Err(Denial::Replayed);
        }
        let jti = faults.on(Fault::RefreshSameToken).then_some(claims.jti);
        self.pair(&claims.sub, &claims.email, faults, jti)
    }

    /// Revokes a token of either kind; a token that is not ours is ignored.
    pub fn logout(&self, token: &str, faults: &Faults) {
        for kind in [TokenKind::Access, TokenKind::Refresh] {
            if let Ok(claims) = self.mint.verify(token, kind, (Side::Auth, faults)) {
                note(&self.revoked, &claims);
            }
        }
    }

    /// Whether a token id was revoked, as `side` sees it.
    pub fn is_revoked(&self, jti: &str, side: Side, faults: &Faults) -> bool {
        let blind = side != Side::Auth && faults.on(Fault::LogoutKeeps);
        !blind && lock(&self.revoked).contains_key(jti)
    }

    /// The owner of a valid access token, judged for `side`.
    pub fn validate(&self, token: &str, side: Side, faults: &Faults) -> Option<User> {
        let claims = self.mint.verify(token, TokenKind::Access, (side, faults)).ok()?;
        if self.is_revoked(&claims.jti, side, faults) {
            return None;
        }
        Some(User {
            sub: claims.sub,
            email: claims.email,
            jti: claims.jti,
            exp: claims.exp,
        })
    }

    /// When the account was created and last logged in, unix seconds; now for one that never logged in.
    fn times_of(&self, sub: &str) -> Account {
        let now = timing::now_unix();
        lock(&self.accounts).get(sub).copied().unwrap_or(Account {
            created_at: now,
            last_login_at: now,
        })
    }

    fn pair(&self, sub: &str, email: &str, faults: &Faults, jti: Option<String>) -> Result<Pair, Denial> {
        let issue = |kind, lifetime_s, jti| {
            let subject = Subject {
                sub,
                email,
                kind,
                lifetime_s,
                jti,
            };
            self.mint.issue(&subject, faults).map_err(|_| Denial::Internal)
        };
        let (access, claims) = issue(TokenKind::Access, self.timing.access_lifetime_s(), jti)?;
        let (refresh, _) = issue(TokenKind::Refresh, self.timing.refresh_lifetime_s(), None)?;
        let lifetime_s = claims.exp - claims.iat;
        Ok(Pair {
            access,
            refresh,
            expires_in: match faults.on(Fault::ExpiresInWrong) {
                true => lifetime_s / 2,
                false => lifetime_s,
            },
            sub: sub.to_owned(),
            email: email.to_owned(),
        })
    }
}

/// Notes a token id; true if it was not there before.
fn note(ledger: &Mutex<HashMap<String, u64>>, claims: &Claims) -> bool {
    let mut ledger = lock(ledger);
    if ledger.len() >= LEDGER_MAX {
        let now = timing::now_unix() as u64;
        ledger.retain(|_, exp| *exp > now);
        if ledger.len() >= LEDGER_MAX
            && let Some(first) = ledger.iter().min_by_key(|(_, exp)| **exp).map(|(jti, _)| jti.clone())
        {
            ledger.remove(&first);
        }
    }
    ledger.insert(claims.jti.clone(), claims.exp).is_none()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The stable id of an account: a UUID made from the address, or 21 digits for `numeric-…` addresses.
fn sub_of(email: &str) -> String {
    let hash = digest::digest(&digest::SHA256, email.as_bytes());
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&hash.as_ref()[..16]);
    if email.starts_with(NUMERIC_PREFIX) {
        let number = u128::from_be_bytes(bytes) % 100_000_000_000_000_000_000;
        return format!("1{number:020}");
    }
    super::uuid_of(bytes)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;

    fn service() -> (AuthService, Faults) {
        crate::crypto::init_crypto();
        (AuthService::new(Timing::new(1.0)), Faults::new())
    }

    #[test]
    fn subs_are_stable_distinct_and_shaped() {
        let one = sub_of("a@rehearsal.invalid");
        assert_eq!(one, sub_of("a@rehearsal.invalid"));
        assert_ne!(one, sub_of("b@rehearsal.invalid"));
        assert_eq!(one.len(), 36);
        let numeric = sub_of("numeric-1@rehearsal.invalid");
        assert!(numeric.len() == 21 && numeric.bytes().all(|byte| byte.is_ascii_digit()));
    }

    #[test]
    fn only_the_reserved_domain_and_password_log_in() {
        let (service, faults) = service();
        let login = |email, password| service.login(email, password, &faults).err();
        assert_eq!(login("a@rehearsal.invalid", "rehearsal-only"), None);
        for (email, password) in [
            ("a@rehearsal.invalid", "wrong"),
            ("a@example.org", "rehearsal-only"),
            ("@rehearsal.invalid", "rehearsal-only"),
        ] {
            assert_eq!(login(email, password), Some(Denial::Credentials), "{email}");
        }
    }

    #[test]
    fn a_refresh_token_works_once_and_logout_revokes() {
        let (service, faults) = service();
        let pair = service
            .login("a@rehearsal.invalid", "rehearsal-only", &faults)
            .ok()
            .unwrap();
        assert_eq!(pair.expires_in, 1800);
        assert!(service.refresh(&pair.refresh, &faults).is_ok());
        assert_eq!(service.refresh(&pair.refresh, &faults).err(), Some(Denial::Replayed));
        assert!(service.validate(&pair.access, Side::Http, &faults).is_some());
        service.logout(&pair.access, &faults);
        assert!(service.validate(&pair.access, Side::Socket, &faults).is_none());
    }
}
