//! Certificate: an authority and a server certificate that it signed, made anew for each cluster.
//!
//! X.509 (RFC 5280) in DER (X.690), with ECDSA on P-256 keys; just what a client on loopback looks at.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// An authority with one certificate for a server.
pub(crate) struct Certificates {
    /// The authority's certificate as PEM, which clients trust.
    pub authority: String,
    /// The server's certificate.
    pub server: CertificateDer<'static>,
    /// The server's key.
    pub key: PrivateKeyDer<'static>,
}

/// A key could not be made or used.
#[derive(Debug, thiserror::Error)]
#[error("make a certificate")]
pub struct CertificateError;

const EC_PUBLIC_KEY: &[u64] = &[1, 2, 840, 10045, 2, 1];
const P256: &[u64] = &[1, 2, 840, 10045, 3, 1, 7];
const ECDSA_SHA256: &[u64] = &[1, 2, 840, 10045, 4, 3, 2];
const COMMON_NAME: &[u64] = &[2, 5, 4, 3];
const BASIC_CONSTRAINTS: &[u64] = &[2, 5, 29, 19];
const KEY_USAGE: &[u64] = &[2, 5, 29, 15];
const EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37];
const SERVER_AUTH: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 1];
const ALTERNATIVE_NAMES: &[u64] = &[2, 5, 29, 17];

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

const AUTHORITY: &str = "sandbox-ca";
const SERVER: &str = "sandbox-apiserver";
/// How long a certificate holds, and how long before now it begins to.
const HOLDS: SignedDuration = SignedDuration::from_hours(24 * 365);
const BEFORE: SignedDuration = SignedDuration::from_hours(24);

// === impl Certificates ===

impl Certificates {
    /// Makes them for an address and `localhost`.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(crate) fn make(address: IpAddr, now: Timestamp) -> Result<Self, CertificateError> {
        let random = SystemRandom::new();
        let (authority, _) = key_pair(&random)?;
        let (server, server_key) = key_pair(&random)?;
        let authority_usage = [
            extension(BASIC_CONSTRAINTS, true, &tlv(SEQUENCE, &tlv(BOOLEAN, &[0xff]))),
            // keyCertSign and cRLSign: bits 5 and 6.
            extension(KEY_USAGE, true, &tlv(BIT_STRING, &[0x01, 0x06])),
        ];
        let server_usage = [
            extension(BASIC_CONSTRAINTS, true, &tlv(SEQUENCE, &[])),
            // digitalSignature: bit 0.
            extension(KEY_USAGE, true, &tlv(BIT_STRING, &[0x07, 0x80])),
            extension(EXTENDED_KEY_USAGE, false, &tlv(SEQUENCE, &object_id(SERVER_AUTH))),
            extension(ALTERNATIVE_NAMES, false, &names(address)),
        ];
        let make = |subject: &str, key: &EcdsaKeyPair, extensions: &[Vec<u8>]| {
            let body = unsigned(&random, subject, key, extensions, now)?;
            sign(&random, &authority, &body)
        };
        let authority_der = make(AUTHORITY, &authority, &authority_usage)?;
        Ok(Self {
            authority: pem(&authority_der),
            server: CertificateDer::from(make(SERVER, &server, &server_usage)?),
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key)),
        })
    }
}

fn key_pair(random: &SystemRandom) -> Result<(EcdsaKeyPair, Vec<u8>), CertificateError> {
    let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, random).map_err(|_| CertificateError)?;
    let pair =
        EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), random).map_err(|_| CertificateError)?;
    Ok((pair, document.as_ref().to_vec()))
}

fn sign(random: &SystemRandom, key: &EcdsaKeyPair, body: &[u8]) -> Result<Vec<u8>, CertificateError> {
    let signature = key.sign(random, body).map_err(|_| CertificateError)?;
    let algorithm = tlv(SEQUENCE, &object_id(ECDSA_SHA256));
    Ok(tlv(
        SEQUENCE,
        &[body, &algorithm, &bits(signature.as_ref())].concat(),
    ))
}

/// What is signed: RFC 5280's TBSCertificate.
fn unsigned(
    random: &SystemRandom,
    subject: &str,
    key: &EcdsaKeyPair,
    extensions: &[Vec<u8>],
    now: Timestamp,
) -> Result<Vec<u8>, CertificateError> {
    let mut serial = [0_u8; 16];
    random.fill(&mut serial).map_err(|_| CertificateError)?;
    // The number has to be positive, in its shortest form.
    serial[0] = serial[0] & 0x3f | 0x40;
    let version = tlv(0xa0, &tlv(INTEGER, &[2]));
    let from = now.checked_sub(BEFORE).unwrap_or(now);
    let until = now.checked_add(HOLDS).unwrap_or(Timestamp::MAX);
    let validity = tlv(SEQUENCE, &[time(from), time(until)].concat());
    let algorithm = tlv(SEQUENCE, &[object_id(EC_PUBLIC_KEY), object_id(P256)].concat());
    let public = tlv(SEQUENCE, &[algorithm, bits(key.public_key().as_ref())].concat());
    let parts = [
        version,
        tlv(INTEGER, &serial),
        tlv(SEQUENCE, &object_id(ECDSA_SHA256)),
        name(AUTHORITY),
        validity,
        name(subject),
        public,
        tlv(0xa3, &tlv(SEQUENCE, &extensions.concat())),
    ];
    Ok(tlv(SEQUENCE, &parts.concat()))
}

fn name(text: &str) -> Vec<u8> {
    let pair = tlv(
        SEQUENCE,
        &[object_id(COMMON_NAME), tlv(UTF8_STRING, text.as_bytes())].concat(),
    );
    tlv(SEQUENCE, &tlv(SET, &pair))
}

fn names(address: IpAddr) -> Vec<u8> {
    let octets = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let list = [
        tlv(DNS_NAME, b"localhost"),
        tlv(DNS_NAME, b"kubernetes"),
        tlv(IP_ADDRESS, &octets),
    ];
    tlv(SEQUENCE, &list.concat())
}

fn extension(id: &[u64], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical {
        tlv(BOOLEAN, &[0xff])
    } else {
        Vec::new()
    };
    tlv(
        SEQUENCE,
        &[object_id(id), critical, tlv(OCTET_STRING, value)].concat(),
    )
}

/// Years before 2050 have two digits.
fn time(time: Timestamp) -> Vec<u8> {
    let text = time.strftime("%Y%m%d%H%M%SZ").to_string();
    if text.as_str() < "2050" {
        tlv(UTC_TIME, &text.as_bytes()[2..])
    } else {
        tlv(GENERALIZED_TIME, text.as_bytes())
    }
}

fn bits(bytes: &[u8]) -> Vec<u8> {
    tlv(BIT_STRING, &[&[0], bytes].concat())
}

fn object_id(numbers: &[u64]) -> Vec<u8> {
    let (first, rest) = (numbers[0] * 40 + numbers[1], &numbers[2..]);
    let mut bytes = Vec::new();
    for number in std::iter::once(&first).chain(rest) {
        let mut groups = vec![u8::try_from(number & 0x7f).unwrap_or(0)];
        let mut left = number >> 7;
        while left > 0 {
            groups.push(u8::try_from(left & 0x7f).unwrap_or(0) | 0x80);
            left >>= 7;
        }
        bytes.extend(groups.into_iter().rev());
    }
    tlv(OBJECT_ID, &bytes)
}

/// A tag, a length and a value.
fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    let length = value.len().to_be_bytes();
    let significant: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    match significant.as_slice() {
        [] => bytes.push(0),
        [short] if *short < 0x80 => bytes.push(*short),
        long => {
            bytes.push(0x80 | u8::try_from(long.len()).unwrap_or(0));
            bytes.extend_from_slice(long);
        }
    }
    bytes.extend_from_slice(value);
    bytes
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap_or_default())
        .collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}
