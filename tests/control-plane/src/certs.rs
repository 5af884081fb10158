//! Fresh keys and certificates for one control plane.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use crate::Error;

/// A certificate authority that lives only as long as the control plane.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
}

/// A certificate and its private key, both in PEM.
pub(crate) struct Identity {
    pub certificate_pem: String,
    pub key_pem: String,
}

/// The files that the components read.
pub(crate) struct Files {
    pub ca: PathBuf,
    pub serving_certificate: PathBuf,
    pub serving_key: PathBuf,
    pub service_account_private_key: PathBuf,
    pub service_account_public_key: PathBuf,
}

impl Authority {
    pub fn new() -> Result<Self, Error> {
        let error = |source| Error::Certificate { what: "the certificate authority", source };
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "control-plane-ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().map_err(error)?;
        let certificate_pem = params.self_signed(&key).map_err(error)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate_pem })
    }

    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// A client certificate; Kubernetes takes the user from CN and the groups from O.
    pub fn client(&self, user: &str, group: &str) -> Result<Identity, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        params.distinguished_name.push(DnType::OrganizationName, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, "a client certificate")
    }

    fn serving(&self) -> Result<Identity, Error> {
        let what = "the serving certificate";
        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(String::from);
        let mut params = CertificateParams::new(names).map_err(|source| Error::Certificate { what, source })?;
        params.distinguished_name.push(DnType::CommonName, "control-plane");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params, what)
    }

    fn sign(&self, mut params: CertificateParams, what: &'static str) -> Result<Identity, Error> {
        let error = |source| Error::Certificate { what, source };
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().map_err(error)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(error)?;
        Ok(Identity { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    /// Writes what the components need into `dir`. The authority's own key never leaves this process.
    pub fn write_files(&self, dir: &Path) -> Result<Files, Error> {
        fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        let serving = self.serving()?;
        let tokens = KeyPair::generate()
            .map_err(|source| Error::Certificate { what: "the key that signs ServiceAccount tokens", source })?;
        let file = |name: &str, content: &str| {
            let path = dir.join(name);
            write_private(&path, content)?;
            Ok::<_, Error>(path)
        };
        Ok(Files {
            ca: file("ca.crt", &self.certificate_pem)?,
            serving_certificate: file("serving.crt", &serving.certificate_pem)?,
            serving_key: file("serving.key", &serving.key_pem)?,
            service_account_private_key: file("service-account.key", &tokens.serialize_pem())?,
            service_account_public_key: file("service-account.pub", &tokens.public_key_pem())?,
        })
    }
}

/// Writes a file that only its owner can read.
pub(crate) fn write_private(path: &Path, content: &str) -> Result<(), Error> {
    // A file that is there already would keep its permissions.
    if let Err(error) = fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(Error::io("replace", path)(error));
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(Error::io("create", path))?;
    std::io::Write::write_all(&mut file, content.as_bytes()).map_err(Error::io("write", path))
}
