//! The shape of `auth`: which token of which credential goes where.

use super::TextOr;
use schemars::JsonSchema;
use serde::Deserialize;

/// Exactly one way to show a credential.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DetailedAuth {
    /// As `Authorization: Bearer`: a kind of token, or credential and kind.
    pub header: Option<TextOr<TokenChoice>>,
    /// Inside an offered subprotocol: a kind of token, or credential and kind.
    pub subprotocol: Option<TextOr<TokenChoice>>,
    /// The value of `Authorization` as written; a template.
    pub raw: Option<String>,
}

/// Which token of which credential.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenChoice {
    /// Local name of the credential; `credential` when left out.
    pub credential: Option<String>,
    /// `valid` (the default), `tampered`, `alg_none` or `aged`.
    pub token: Option<String>,
    /// A secret capture of this run, instead of `token`.
    pub captured: Option<String>,
}
