//! Keys: what a cluster signs and recognises with; made anew for each, because nothing secret belongs in a repository.

use std::fs::File;
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A bearer token: 128 random bits in hexadecimal digits.
pub fn token() -> String {
    random::<16>().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A private key on the curve P-256 for signing service account tokens, in PEM.
///
/// The form is the `ECPrivateKey` of RFC 5915, section 3, without the public key, which readers compute. Any 32 bytes
/// are a key but for a share of about 2⁻³² (zero, and those above the order of the group).
pub fn service_account_key() -> String {
    /// SEQUENCE of 49 bytes: INTEGER 1, then an OCTET STRING of 32 bytes, which follows.
    const HEAD: [u8; 7] = [0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20];
    /// [0] EXPLICIT OBJECT IDENTIFIER 1.2.840.10045.3.1.7, which is P-256.
    const TAIL: [u8; 12] = [
        0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
    ];
    let der = [&HEAD[..], &random::<32>(), &TAIL].concat();
    pem("EC PRIVATE KEY", &der)
}

fn pem(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let lines: Vec<&str> = base64
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("because base64 is ASCII"))
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .expect("random bytes of the kernel");
    bytes
}
