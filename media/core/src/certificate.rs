//! The DTLS certificate of this process.

use std::fmt;

use dimpl::DtlsCertificate;

use crate::api::Fingerprint;

/// A self-signed certificate with its key. One serves all transports of all engines.
pub struct Certificate {
    inner: DtlsCertificate,
    fingerprint: Fingerprint,
}

/// The key or certificate could not be generated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateError(String);

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "certificate generation failed: {}", self.0)
    }
}

impl std::error::Error for CertificateError {}

impl Certificate {
    /// Makes an ECDSA P-256 key and a certificate for it.
    pub fn generate() -> Result<Certificate, CertificateError> {
        let inner = dimpl::certificate::generate_self_signed_certificate()
            .map_err(|error| CertificateError(error.to_string()))?;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &inner.certificate);
        let fingerprint =
            Fingerprint { algorithm: "sha-256".into(), digest: digest.as_ref().to_vec() };
        Ok(Certificate { inner, fingerprint })
    }

    /// The SHA-256 fingerprint to announce in session descriptions (RFC 8122).
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }

    /// A copy for one DTLS association.
    pub(crate) fn to_dtls(&self) -> DtlsCertificate {
        self.inner.clone()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("fingerprint", &self.fingerprint).finish()
    }
}
