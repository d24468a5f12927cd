//! Encryption, with the certificates that are trusted.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature,
        verify_tls13_signature,
    },
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::Trust;

/// Reads certificates from files: not for the async threads.
///
/// # Errors
/// Why there is nobody to trust.
pub(super) fn connector(trust: &Trust) -> Result<MakeRustlsConnect, String> {
    // Named here, because a program may come without one of its own.
    let provider = Arc::new(ring::default_provider());
    let roots = match trust {
        Trust::Anyone => None,
        Trust::Machine => Some(of_machine()?),
        Trust::File(path) => Some(of_file(path)?),
    };
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(provider as Arc<CryptoProvider>)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let config = match roots {
        Some(roots) => builder.with_root_certificates(roots),
        None => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone { algorithms }))
        }
    };
    Ok(MakeRustlsConnect::new(config.with_no_client_auth()))
}

fn of_machine() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err("this machine trusts no certificates: name one with sslrootcert".to_owned());
    }
    Ok(roots)
}

fn of_file(path: &Path) -> Result<RootCertStore, String> {
    let told = |why: String| format!("sslrootcert {}: {why}", path.display());
    let mut roots = RootCertStore::empty();
    let pem = std::fs::read(path).map_err(|error| told(error.to_string()))?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| told(error.to_string()))?;
        roots.add(certificate).map_err(|error| told(error.to_string()))?;
    }
    if roots.is_empty() { Err(told("it holds no certificate".to_owned())) } else { Ok(roots) }
}

/// Takes whoever answers for the server, but only with a key that fits its certificate.
#[derive(Debug)]
struct Anyone {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
