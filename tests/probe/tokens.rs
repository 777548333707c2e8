//! Tokens: claims, negative tokens, minting.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use proptest::prelude::*;
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Map, Value, json};
use stagewatch::probe::jwt::{self, JwtError, MintKey};
use stagewatch::secret::Secret;

fn claims(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn minted() -> Secret {
    let key = MintKey::hs256(&"a shared secret of the test".into()).unwrap();
    key.mint(&claims(json!({"sub": "u1", "exp": 1_000.5, "aud": "x"})), Some("k1"))
        .unwrap()
}

fn accepts(token: &Secret, key: &DecodingKey, algorithm: Algorithm) -> bool {
    stagewatch::crypto::init_crypto();
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    jsonwebtoken::decode::<Value>(token.expose(), key, &validation).is_ok()
}

#[test]
fn claims_are_read_without_a_key() {
    assert_eq!(
        jwt::claims(&minted()).unwrap(),
        claims(json!({"sub": "u1", "exp": 1_000.5, "aud": "x"}))
    );
    for bad in ["", "a.b", "a.b.c", "eyJ.eyJ.x", "e30.WzFd.", "e30.e30.e30.e30"] {
        assert!(matches!(jwt::claims(&bad.into()), Err(JwtError::NotAToken(_))), "{bad}");
    }
}

#[test]
fn emails_are_not_shown() {
    let all = claims(
        json!({"sub": "u1", "email": "a@b.example", "email_verified": true, "iss": "auth", "name": "x y@z.example", "nested": {"a": ["q@r.example"]}, "roles": ["user"], "exp": 5}),
    );
    assert_eq!(
        jwt::public_claims(&all),
        claims(json!({"iss": "auth", "roles": ["user"], "exp": 5}))
    );
}

#[test]
fn expiry_is_the_tokens_own() {
    let at = |millis| DateTime::from_timestamp_millis(millis).unwrap();
    let token = minted();
    assert_eq!(jwt::expired(&token, at(1_000_499)), Ok(false));
    assert_eq!(jwt::expired(&token, at(1_000_500)), Ok(true));
    assert_eq!(
        jwt::expired(&"e30.e30.".into(), at(i64::from(i32::MAX) * 1000)),
        Ok(false),
        "no exp, no expiry"
    );
}

#[test]
fn negative_tokens_are_refused_by_a_verifier() {
    let key = DecodingKey::from_secret(b"a shared secret of the test");
    let token = minted();
    assert!(accepts(&token, &key, Algorithm::HS256));
    let tampered = jwt::tampered(&token).unwrap();
    assert!(!accepts(&tampered, &key, Algorithm::HS256));
    assert_eq!(jwt::claims(&tampered), jwt::claims(&token));
    let none = jwt::alg_none(&token).unwrap();
    assert!(!accepts(&none, &key, Algorithm::HS256));
    let header = URL_SAFE_NO_PAD
        .decode(none.expose().split('.').next().unwrap())
        .unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&header).unwrap()["alg"], "none");
    assert!(none.expose().ends_with('.'));
    assert!(jwt::tampered(&none).is_err(), "nothing to tamper with");
}

#[test]
fn all_three_algorithms_mint() {
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let rsa_public = DecodingKey::from_rsa_pem(rsa.public_key_pem().as_bytes()).unwrap();
    let key = MintKey::rs256(&rsa.serialize_pem().into()).unwrap();
    assert!(accepts(
        &key.mint(&claims(json!({"sub": "u"})), None).unwrap(),
        &rsa_public,
        Algorithm::RS256
    ));
    let ec = KeyPair::generate().unwrap();
    let ec_public = DecodingKey::from_ec_pem(ec.public_key_pem().as_bytes()).unwrap();
    let key = MintKey::es256(&ec.serialize_pem().into()).unwrap();
    let token = key.mint(&claims(json!({"sub": "u"})), Some("kid-1")).unwrap();
    assert!(accepts(&token, &ec_public, Algorithm::ES256));
    assert_eq!(
        jsonwebtoken::decode_header(token.expose()).unwrap().kid.as_deref(),
        Some("kid-1")
    );
    for (refused, name) in [
        (MintKey::hs256(&"".into()), "HS256"),
        (MintKey::rs256(&ec.serialize_pem().into()), "RS256"),
        (
            MintKey::es256(&"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n".into()),
            "ES256",
        ),
    ] {
        assert!(
            matches!(refused, Err(JwtError::Key { algorithm, .. }) if algorithm == name),
            "{refused:?}"
        );
    }
}

#[test]
fn subprotocol_items_carry_the_whole_token() {
    let item = jwt::subprotocol_item("jwt.", &minted());
    let encoded = item.expose().strip_prefix("jwt.").unwrap();
    assert_eq!(URL_SAFE_NO_PAD.decode(encoded).unwrap(), minted().expose().as_bytes());
}

proptest! {
    #[test]
    fn tampering_always_changes_the_decoded_signature(signature in prop::collection::vec(any::<u8>(), 1..80)) {
        let token = Secret::new(format!("e30.e30.{}", URL_SAFE_NO_PAD.encode(&signature)));
        let tampered = jwt::tampered(&token).unwrap();
        let changed = URL_SAFE_NO_PAD.decode(tampered.expose().rsplit('.').next().unwrap()).unwrap();
        prop_assert_eq!(changed.len(), signature.len());
        prop_assert_ne!(changed, signature);
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}") {
        let token = Secret::new(text);
        let _ = (jwt::claims(&token), jwt::tampered(&token), jwt::alg_none(&token), jwt::expired(&token, chrono::Utc::now()));
    }
}
