//! One TLS configuration per call bridge, used for requests and probes alike. Reads the system's certificates, nothing else.
//!
//! The provider is named (ring), never taken from the process default: two providers in one binary panic at first use
//! (decision 0017).

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::error::CmsError;

/// How to trust a call bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Certificates in PEM, in place of the system's: authorities, or the bridge's own certificate (a self-signed one
    /// is the normal case, `cms-protocol.md` 1.1).
    pub ca_bundle_pem: Option<Vec<u8>>,
    /// The name that the certificate must carry, and that is asked for, if it is not the host of the address.
    pub server_name: Option<String>,
    /// Accept every certificate. Whoever sits on the path can then read the password.
    pub insecure_skip_verify: bool,
}

/// The parsed form of [`TlsOptions`].
#[derive(Clone, Debug)]
pub struct Tls {
    pub config: Arc<ClientConfig>,
    /// The name to ask for and to check, if it is not the host of the address.
    pub server_name: Option<ServerName<'static>>,
}

impl Tls {
    /// # Errors
    /// [`CmsError::TlsFailure`] if the bundle or the name cannot be used.
    pub fn new(options: &TlsOptions) -> Result<Self, CmsError> {
        let server_name = options.server_name.as_deref().map(parse_name).transpose()?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|_| failure("no usable protocol version"))?;
        // A bundle is read even if nothing is verified: a broken one should not show only when the switch is removed.
        let bundle = options.ca_bundle_pem.as_deref().map(parse_bundle).transpose()?;
        let verifier: Arc<dyn ServerCertVerifier> = if options.insecure_skip_verify {
            Arc::new(AcceptAll { provider })
        } else {
            let roots = match &bundle {
                Some(certificates) => Arc::new(roots_of(certificates)?),
                None => system_roots()?,
            };
            let by_authority = WebPkiServerVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(|_| failure("the CA bundle has no usable certificate"))?;
            Arc::new(Verifier { by_authority, pinned: bundle.unwrap_or_default(), name: server_name.clone() })
        };
        let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // An IP address cannot be asked for in the handshake; without this the host of the address would be.
        config.enable_sni = !matches!(server_name, Some(ServerName::IpAddress(_)));
        Ok(Self { config: Arc::new(config), server_name })
    }
}

/// Short words for a handshake failure: stable (no times, no ids), so that a condition does not change all the time.
pub fn describe(error: &rustls::Error) -> String {
    let what = match error {
        rustls::Error::InvalidCertificate(fault) => match fault {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "the certificate has expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the certificate is not valid yet"
            }
            CertificateError::UnknownIssuer => "the certificate is signed by an unknown authority; set tls.caBundleRef",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the certificate is for another name; set tls.serverName"
            }
            CertificateError::Revoked => "the certificate is revoked",
            CertificateError::BadEncoding => "the certificate cannot be read",
            CertificateError::BadSignature => "the signature of the certificate is wrong",
            _ if is_authority_as_server(fault) => {
                "the certificate is one of an authority, not of a server; put it into the CA bundle to trust it"
            }
            _ => "the certificate is not acceptable",
        },
        rustls::Error::AlertReceived(_) => "the bridge ended the handshake with an alert",
        rustls::Error::InvalidMessage(_) => "the answer is not TLS",
        rustls::Error::PeerIncompatible(_) => "the bridge offers no TLS version or cipher that is acceptable here",
        _ => "the handshake failed",
    };
    what.to_owned()
}

pub fn failure(detail: &str) -> CmsError {
    CmsError::TlsFailure { detail: detail.to_owned() }
}

fn parse_name(name: &str) -> Result<ServerName<'static>, CmsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| failure("the server name is not a DNS name or IP address"))
}

fn parse_bundle(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CmsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(failure("the CA bundle has no certificate in PEM form")),
        Ok(certificates) => Ok(certificates),
        Err(_) => Err(failure("the CA bundle is not valid PEM")),
    }
}

fn roots_of(certificates: &[CertificateDer<'static>]) -> Result<RootCertStore, CmsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone()).map_err(|_| failure("the CA bundle has a certificate that cannot be read"))?;
    }
    Ok(roots)
}

/// The system's certificates, read once per process: it takes milliseconds, and they would be kept per call bridge.
fn system_roots() -> Result<Arc<RootCertStore>, CmsError> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "some of the system's certificates could not be read");
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        Arc::new(roots)
    });
    if roots.is_empty() {
        return Err(failure("this system has no certificate authorities; set tls.caBundleRef"));
    }
    Ok(Arc::clone(roots))
}

/// By authority as usual, with two additions: the name can be another one than the host of the address, and the
/// bridge's own certificate in the bundle is trusted even if it calls itself an authority. The latter is what
/// `openssl req -x509` makes, and the usual checks refuse it as a server's.
#[derive(Debug)]
struct Verifier {
    by_authority: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
    name: Option<ServerName<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let name = self.name.as_ref().unwrap_or(server_name);
        let verdict = self.by_authority.verify_server_cert(end_entity, intermediates, name, ocsp_response, now);
        match &verdict {
            // The validity in time is checked before this fault is found, the name is not.
            Err(rustls::Error::InvalidCertificate(fault))
                if is_authority_as_server(fault) && self.pinned.iter().any(|known| known == end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            _ => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_authority.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_authority.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_authority.supported_verify_schemes()
    }
}

/// rustls has no variant of its own for this fault of webpki's, only its text.
fn is_authority_as_server(fault: &CertificateError) -> bool {
    matches!(fault, CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity"))
}

/// For `insecureSkipVerify`: any certificate will do, but its owner must still hold the key.
#[derive(Debug)]
struct AcceptAll {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AcceptAll {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
