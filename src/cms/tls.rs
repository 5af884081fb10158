//! One TLS configuration per call bridge, used for requests and probes alike. Reads the system's certificates, nothing else.
//!
//! The provider is named (ring), never taken from the process default: two providers in one binary panic at first use
//! (decision 0017).

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::certificate;
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
    /// Which certificates of the bundle cannot be read, counted from 1. They are left out.
    pub unreadable: Vec<usize>,
    expiry: Arc<Expiry>,
}

/// When the certificate that was shown last expires, in seconds since 1970; 0: none was seen.
#[derive(Debug, Default)]
struct Expiry(AtomicI64);

impl Expiry {
    fn note(&self, certificate: &CertificateDer<'_>) {
        if let Some(at) = certificate::expiry(certificate) {
            self.0.store(at.as_second(), Ordering::Relaxed);
        }
    }
}

impl Tls {
    /// When the certificate that was shown last expires, in seconds since 1970.
    pub fn expiry(&self) -> Option<i64> {
        Some(self.expiry.0.load(Ordering::Relaxed)).filter(|at| *at != 0)
    }

    /// # Errors
    /// [`CmsError::TlsFailure`] if the bundle or the name cannot be used.
    pub fn new(options: &TlsOptions) -> Result<Self, CmsError> {
        let server_name = options.server_name.as_deref().map(parse_name).transpose()?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|_| failure("no usable protocol version"))?;
        // A bundle is read even if nothing is verified: a broken one should not show only when the switch is removed.
        let bundle = options.ca_bundle_pem.as_deref().map(Bundle::parse).transpose()?;
        let unreadable = bundle.as_ref().map(|bundle| bundle.unreadable.clone()).unwrap_or_default();
        let expiry = Arc::new(Expiry::default());
        let seen = Arc::clone(&expiry);
        let verifier: Arc<dyn ServerCertVerifier> = if options.insecure_skip_verify {
            Arc::new(AcceptAll { provider, seen })
        } else {
            let (roots, pinned) = match bundle {
                Some(bundle) => (Arc::new(bundle.roots), bundle.certificates),
                None => (system_roots()?, Vec::new()),
            };
            let by_authority = WebPkiServerVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(|_| failure("the CA bundle has no usable certificate"))?;
            Arc::new(Verifier { by_authority, pinned, name: server_name.clone(), seen })
        };
        let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // An IP address cannot be asked for in the handshake; without this the host of the address would be.
        config.enable_sni = !matches!(server_name, Some(ServerName::IpAddress(_)));
        Ok(Self { config: Arc::new(config), server_name, unreadable, expiry })
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
            CertificateError::UnknownIssuer => {
                "the certificate is signed by an unknown authority; set tls.caBundleRef to the authority or to this \
                 certificate"
            }
            _ if has_no_names(fault) => {
                "the certificate has no subject alternative name, and its common name does not count; make it anew with \
                 one, or put it into tls.caBundleRef to trust exactly this certificate"
            }
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

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The certificates of a CA bundle that can be read.
struct Bundle {
    certificates: Vec<CertificateDer<'static>>,
    roots: RootCertStore,
    unreadable: Vec<usize>,
}

impl Bundle {
    /// One certificate that cannot be read does not make the others worthless.
    fn parse(pem: &[u8]) -> Result<Self, CmsError> {
        let mut bundle = Self { certificates: Vec::new(), roots: RootCertStore::empty(), unreadable: Vec::new() };
        // With a byte order mark before it the first one would not begin its line, and be left out silently.
        let pem = pem.strip_prefix(BYTE_ORDER_MARK).unwrap_or(pem);
        for (index, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
            match certificate {
                Ok(certificate) if bundle.roots.add(certificate.clone()).is_ok() => {
                    bundle.certificates.push(certificate);
                }
                Ok(_) | Err(_) => bundle.unreadable.push(index + 1),
            }
        }
        match (bundle.certificates.is_empty(), bundle.unreadable.is_empty()) {
            (true, true) => Err(failure("the CA bundle has no certificate in PEM form")),
            (true, false) => Err(failure("the CA bundle has no certificate that can be read")),
            (false, _) => Ok(bundle),
        }
    }
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

/// By authority as usual, with two additions. The name can be another one than the host of the address. And the bridge's own
/// certificate in the bundle is trusted, whoever signed it and even if it calls itself an authority (which is what `openssl
/// req -x509` makes): exactly that one, as long as it is valid and whoever shows it holds the key.
///
/// The names in it are checked all the same, so that of several bridges in one bundle none can pass for another. One
/// without any subject alternative name has nothing to check: there the certificate itself is the identity.
#[derive(Debug)]
struct Verifier {
    by_authority: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
    name: Option<ServerName<'static>>,
    seen: Arc<Expiry>,
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
        self.seen.note(end_entity);
        let name = self.name.as_ref().unwrap_or(server_name);
        let verdict = self.by_authority.verify_server_cert(end_entity, intermediates, name, ocsp_response, now);
        match &verdict {
            // The validity in time is checked before any of these faults is found, the name is not.
            Err(rustls::Error::InvalidCertificate(fault)) if is_forgiven(fault) && self.is_pinned(end_entity) => {
                match verify_server_name(&ParsedCertificate::try_from(end_entity)?, name) {
                    Err(rustls::Error::InvalidCertificate(fault)) if has_no_names(&fault) => {}
                    checked => checked?,
                }
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

impl Verifier {
    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> bool {
        self.pinned.iter().any(|known| known == certificate)
    }
}

/// What does not matter where the certificate itself is in the bundle.
fn is_forgiven(fault: &CertificateError) -> bool {
    matches!(fault, CertificateError::UnknownIssuer) || is_authority_as_server(fault) || has_no_names(fault)
}

/// The certificate carries no name at all that could fit; common names do not count any more.
fn has_no_names(fault: &CertificateError) -> bool {
    matches!(fault, CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty())
}

/// rustls has no variant of its own for this fault of webpki's, only its text.
fn is_authority_as_server(fault: &CertificateError) -> bool {
    matches!(fault, CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity"))
}

/// For `insecureSkipVerify`: any certificate will do, but its owner must still hold the key.
#[derive(Debug)]
struct AcceptAll {
    provider: Arc<CryptoProvider>,
    seen: Arc<Expiry>,
}

impl ServerCertVerifier for AcceptAll {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.seen.note(end_entity);
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
