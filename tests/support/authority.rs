//! A certificate authority of a test's own, made by openssl: its certificates are real and as odd as a test wants them.

use std::path::{Path, PathBuf};

use crate::tools::run;

/// An authority with its files in a folder.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
    name: String,
}

impl Authority {
    /// Makes `NAME.pem` and `NAME.key` in `folder`.
    #[must_use]
    pub fn new(folder: &Path, name: &str) -> Authority {
        let authority = Authority { folder: folder.to_path_buf(), name: name.to_string() };
        let (key, certificate) = (authority.path(&format!("{name}.key")), authority.file());
        let subject = format!("/CN={name}");
        let new = ["req", "-x509", "-new", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
        let rest = ["-days", "2", "-subj", &subject, "-keyout", &key, "-out", &certificate];
        openssl(&[&new[..], &rest].concat());
        authority
    }

    /// Its own certificate.
    #[must_use]
    pub fn file(&self) -> String {
        self.path(&format!("{}.pem", self.name))
    }

    /// Makes `NAME.pem` and `NAME.key`, signed by this authority; `alternative` as openssl writes subjectAltName. Files
    /// of that name are replaced.
    pub fn issue(&self, name: &str, subject: &str, alternative: &str) -> (String, String) {
        let (key, request) = (self.path(&format!("{name}.key")), self.path(&format!("{name}.csr")));
        let (certificate, extensions) = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.ext")));
        let named = if alternative.is_empty() { String::new() } else { format!("subjectAltName={alternative}\n") };
        std::fs::write(&extensions, format!("basicConstraints=CA:FALSE\n{named}")).expect("a file");
        let new = ["req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-utf8"];
        openssl(&[&new[..], &["-subj", subject, "-keyout", &key, "-out", &request]].concat());
        let (authority, signer) = (self.file(), self.path(&format!("{}.key", self.name)));
        let sign = ["x509", "-req", "-days", "2", "-in", &request, "-CA", &authority, "-CAkey", &signer];
        openssl(&[&sign[..], &["-CAcreateserial", "-extfile", &extensions, "-out", &certificate]].concat());
        (certificate, key)
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().expect("a path in UTF-8").to_string()
    }
}

/// Runs openssl, which must go well.
pub fn openssl(arguments: &[&str]) -> String {
    run("openssl", arguments).ok()
}
