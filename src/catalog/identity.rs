//! How our own workload says who it is to others: plain settings of tokens that are fetched, and fetched again before they end.

use crate::secret::Secret;
use url::Url;

/// Where a token comes from.
#[derive(Clone, Debug)]
pub enum Access {
    /// An access token of the account that we run as; the base of the metadata server, `http://metadata.google.internal/`.
    Metadata(Url),
    /// An identity token (a JWT about us) of the account that we run as, for one reader.
    Identity {
        /// The base of the metadata server.
        metadata: Url,
        /// Whom it is for: the client id of an identity-aware proxy, the URL of a service.
        audience: String,
    },
    /// An access token of a service account.
    Account {
        /// `client_email` of its key file.
        email: String,
        /// `private_key` of its key file, PEM.
        key: Secret,
        /// `token_uri` of its key file.
        token_url: Url,
    },
}

/// What is shown to somebody who asks who we are.
#[derive(Clone, Debug)]
pub enum Shown {
    /// A secret that stays as it is configured.
    Fixed(Secret),
    /// A token, as `Bearer`.
    Token(Access),
}
