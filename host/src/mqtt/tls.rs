//! TLS of a listener: certificates from PEM files, and the authorities of client certificates.
//!
//! Built once at start and again at reload; a connection that has shaken hands keeps what it has.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::{RootCertStore, SupportedProtocolVersion};

use super::config::{SslOptions, TlsVersion, Verify};

/// Why a listener cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {what} from {}: {reason}", path.display())]
    File { what: &'static str, path: PathBuf, reason: String },
    #[error("`verify = \"verify_peer\"` needs a `cacertfile` with the authorities that sign client certificates")]
    NoAuthorities,
    #[error("`versions` names no TLS version; write \"tlsv1.3\", \"tlsv1.2\" or both")]
    NoVersions,
    #[error("certificate {} and key {} cannot be used: {source}", certfile.display(), keyfile.display())]
    Unusable { certfile: PathBuf, keyfile: PathBuf, source: rustls::Error },
}

/// The server side of TLS as `options` describe it.
pub fn server_config(options: &SslOptions) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: Vec<&SupportedProtocolVersion> = options
        .versions
        .iter()
        .map(|version| match version {
            TlsVersion::V12 => &rustls::version::TLS12,
            TlsVersion::V13 => &rustls::version::TLS13,
        })
        .collect();
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(|_| TlsError::NoVersions)?;
    let builder = match options.verify {
        Verify::VerifyNone => builder.with_no_client_auth(),
        Verify::VerifyPeer => {
            let path = options.cacertfile.as_deref().ok_or(TlsError::NoAuthorities)?;
            let mut roots = RootCertStore::empty();
            let bad = |reason: String| TlsError::File { what: "authorities", path: path.to_owned(), reason };
            for certificate in certificates("authorities", path)? {
                roots.add(certificate).map_err(|error| bad(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if options.fail_if_no_peer_cert { verifier } else { verifier.allow_unauthenticated() };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| bad(error.to_string()))?)
        }
    };
    let chain = certificates("the certificate", &options.certfile)?;
    let key = PrivateKeyDer::from_pem_file(&options.keyfile).map_err(|error| TlsError::File {
        what: "the private key",
        path: options.keyfile.clone(),
        reason: error.to_string(),
    })?;
    let config = builder.with_single_cert(chain, key).map_err(|source| TlsError::Unusable {
        certfile: options.certfile.clone(),
        keyfile: options.keyfile.clone(),
        source,
    })?;
    Ok(Arc::new(config))
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bad = |reason: String| TlsError::File { what, path: path.to_owned(), reason };
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|error| bad(error.to_string()))?;
    if certificates.is_empty() {
        return Err(bad("no certificate in PEM form in it".to_owned()));
    }
    Ok(certificates)
}
