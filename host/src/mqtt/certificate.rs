//! What a verified client certificate says about its owner. Nothing here verifies: TLS has done so, or a proxy that the
//! listener trusts.

use md5::{Digest, Md5};
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::x509::X509Name;

use super::config::PeerCertAs;

/// The certificate of a peer, if it has shown one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerCertificate {
    /// There was one, and an authority of ours signed it.
    pub verified: bool,
    /// Empty when only a proxy has seen it.
    der: Vec<u8>,
    /// What the proxy said of it.
    common_name: Option<String>,
}

impl PeerCertificate {
    /// The certificate that the client showed in its handshake.
    #[must_use]
    pub fn of_chain(chain: Option<&[CertificateDer<'_>]>) -> PeerCertificate {
        let Some(leaf) = chain.and_then(<[_]>::first) else { return PeerCertificate::default() };
        PeerCertificate { verified: true, der: leaf.to_vec(), common_name: None }
    }

    /// One that the proxy in front has verified; of it only the common name is known.
    #[must_use]
    pub fn of_proxy(common_name: Option<String>) -> PeerCertificate {
        PeerCertificate { verified: common_name.is_some(), der: Vec::new(), common_name }
    }

    /// What stands in it under `kind`; `None` when it has no such thing.
    #[must_use]
    pub fn name(&self, kind: PeerCertAs) -> Option<String> {
        if self.der.is_empty() {
            return self.common_name.clone().filter(|_| kind == PeerCertAs::Cn);
        }
        if kind == PeerCertAs::Md5 {
            return Some(Md5::digest(&self.der).iter().map(|byte| format!("{byte:02x}")).collect());
        }
        let (_, certificate) = x509_parser::parse_x509_certificate(&self.der).ok()?;
        match kind {
            PeerCertAs::Disabled | PeerCertAs::Md5 => None,
            PeerCertAs::Cn => Some(certificate.subject().iter_common_name().next()?.as_str().ok()?.to_owned()),
            PeerCertAs::Dn => Some(distinguished_name(certificate.subject())),
            PeerCertAs::SanDns | PeerCertAs::SanUri | PeerCertAs::SanEmail => alternative_name(&certificate, kind),
        }
    }
}

fn alternative_name(certificate: &X509Certificate<'_>, kind: PeerCertAs) -> Option<String> {
    let names = &certificate.subject_alternative_name().ok()??.value.general_names;
    let found = names.iter().find_map(|name| match (kind, name) {
        (PeerCertAs::SanDns, GeneralName::DNSName(name))
        | (PeerCertAs::SanUri, GeneralName::URI(name))
        | (PeerCertAs::SanEmail, GeneralName::RFC822Name(name)) => Some(*name),
        _ => None,
    })?;
    Some(found.to_owned())
}

/// As RFC 4514 writes it: the most special part first, no blanks, special characters escaped.
fn distinguished_name(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name
        .iter_rdn()
        .map(|rdn| {
            let attributes = rdn.iter().map(|attribute| {
                let kind = oid2abbrev(attribute.attr_type(), oid_registry()).map(str::to_owned);
                let kind = kind.unwrap_or_else(|_| attribute.attr_type().to_id_string());
                match attribute.as_str() {
                    Ok(text) => format!("{kind}={}", escaped(text)),
                    Err(_) => {
                        let hex: String = attribute.as_slice().iter().map(|byte| format!("{byte:02x}")).collect();
                        format!("{kind}=#{hex}")
                    }
                }
            });
            attributes.collect::<Vec<_>>().join("+")
        })
        .collect();
    parts.reverse();
    parts.join(",")
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (index, c) in text.chars().enumerate() {
        let special = matches!(c, '"' | '+' | ',' | ';' | '<' | '>' | '\\')
            || index == 0 && matches!(c, ' ' | '#')
            || index == last && c == ' ';
        match c {
            '\0' => out.push_str("\\00"),
            c if special => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_proxy_says_is_a_common_name_and_nothing_else() {
        let certificate = PeerCertificate::of_proxy(Some("device-7".to_owned()));
        assert!(certificate.verified);
        assert_eq!(certificate.name(PeerCertAs::Cn).as_deref(), Some("device-7"));
        assert_eq!((certificate.name(PeerCertAs::Dn), certificate.name(PeerCertAs::Md5)), (None, None));
        assert!(!PeerCertificate::of_proxy(None).verified && !PeerCertificate::of_chain(None).verified);
    }

    #[test]
    fn names_are_escaped_as_rfc_4514_asks() {
        for (text, expected) in [
            ("plain name", "plain name"),
            ("a,b+c", "a\\,b\\+c"),
            (" both ", "\\ both\\ "),
            ("#1", "\\#1"),
            ("a#1", "a#1"),
            ("\\\"", "\\\\\\\""),
            (" ", "\\ "),
            ("\0", "\\00"),
        ] {
            assert_eq!(escaped(text), expected, "{text:?}");
        }
    }

    #[test]
    fn an_unreadable_certificate_has_no_name() {
        let certificate = PeerCertificate::of_chain(Some(&[CertificateDer::from(vec![0x30, 0x03, 1, 2])]));
        for kind in [PeerCertAs::Cn, PeerCertAs::Dn, PeerCertAs::SanDns, PeerCertAs::SanUri, PeerCertAs::SanEmail] {
            assert_eq!(certificate.name(kind), None, "{kind:?}");
        }
    }
}
