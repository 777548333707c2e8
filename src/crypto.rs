//! Installs the one crypto provider (aws-lc-rs) for rustls and jsonwebtoken.
//! Every entry point and every test helper calls it before anything else.

/// Installs aws-lc-rs as the process-wide provider of rustls and jsonwebtoken. Calling it again changes nothing.
pub fn init_crypto() {
    // An error means that a provider is installed already, which is what we want.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}
